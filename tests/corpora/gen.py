#!/usr/bin/env python3
"""Deterministic generator of subunit v2 interop corpora (oracle: python-subunit on this machine).

usage: gen.py OUTDIR [--seed N] [--fuzz N] [--bench N] [--only valid|corrupt|fuzz|bench]

Writes
  OUTDIR/valid/NAME.bin         bytes produced by python-subunit's StreamResultToBytes (or raw builder, see manifest)
  OUTDIR/valid/NAME.jsonl       expected events, one JSON object a line (python-subunit's decoding)
  OUTDIR/valid/NAME.mux7.bin    the same events re-serialised by python-subunit with route code '7' prepended
                                (only where python's writer made NAME.bin; exact-bytes oracle for a multiplexer)
  OUTDIR/corrupt/NAME.bin/.jsonl  the same for damaged streams
  OUTDIR/*/NAME.rec.jsonl       recommended decoding, only where it differs from python-subunit's (see class Clean);
                                the text of "(text free)" Parser Error files is not to be compared
  OUTDIR/fuzz/fuzz.jsonl        one case a line: {"id","mut","hex","events","exc","cls","rec"}
  OUTDIR/bench/bench.bin        N packets of realistic traffic
  OUTDIR/manifest.json          every case: name, cls, made_by, bytes, events, sha256, note

cls: agree           a decoder must give exactly these events
     python_crash    python-subunit raises (events before it are listed, "exc" says what); a robust decoder
                     should report subunit.parser events for that packet and go on
     python_lenient  python-subunit accepts what the protocol document forbids
     python_quirk    python-subunit's chatter / UTF-8 state bug decides the outcome; shown, not to be copied

Event object: every field of StreamResult.status: test_id, test_status, test_tags (sorted list|null), runnable,
file_name, file_b64 (base64|null), eof, mime_type, route_code, timestamp ([seconds, microseconds]|null).
Chatter = file_name "stdout", no test_id, runnable true. Input is read from a regular file (python then
aggregates chatter up to the next packet or 1 MiB, deterministically).
"""
import argparse, atexit, base64, binascii, datetime, hashlib, io, itertools, json, os, random, struct, sys, tempfile, zlib
try:
    import subunit.v2
except ImportError:
    sys.path.insert(0, '/usr/lib/python3/dist-packages')
import subunit, subunit.v2
from subunit.v2 import ByteStreamToStreamResult, StreamResultToBytes
UTC = datetime.timezone.utc
STAT = [None, 'exists', 'inprogress', 'success', 'uxsuccess', 'skip', 'fail', 'xfail']

class Log:
    def __init__(self): self.ev = []
    def status(self, test_id=None, test_status=None, test_tags=None, runnable=True, file_name=None,
               file_bytes=None, eof=False, mime_type=None, route_code=None, timestamp=None):
        ts = None
        if timestamp is not None:
            d = timestamp - datetime.datetime(1970, 1, 1, tzinfo=UTC)
            ts = [d.days * 86400 + d.seconds, d.microseconds]
        self.ev.append(dict(test_id=test_id, test_status=test_status,
            test_tags=None if test_tags is None else sorted(test_tags), runnable=runnable, file_name=file_name,
            file_b64=None if file_bytes is None else base64.b64encode(bytes(file_bytes)).decode(),
            eof=eof, mime_type=mime_type, route_code=route_code, timestamp=ts))

def decode(path, name='stdout'):
    l = Log(); exc = None
    with open(path, 'rb') as f:
        try: ByteStreamToStreamResult(f, non_subunit_name=name).run(l)
        except Exception as e: exc = '%s: %s' % (type(e).__name__, e)
    return l.ev, exc

_tmp = None
def decode_bytes(b):
    global _tmp
    if _tmp is None: _tmp = tempfile.NamedTemporaryFile(delete=False).name; atexit.register(os.unlink, _tmp)
    with open(_tmp, 'wb') as f: f.write(b)
    return decode(_tmp)

class Clean(ByteStreamToStreamResult):
    """python-subunit's packet parser with (a) a stateless-per-run UTF-8 rule for chatter (lead byte opens 1/2/3
    continuation slots, any other byte closes them, every packet closes them) and (b) struct/negative-read failures
    turned into the ordinary pair of subunit.parser events. This is the *recommended* decoding ("rec")."""
    def run(self, result):
        f = self.source; buf = bytearray(); need = 0
        def flush():
            if buf: result.status(file_name=self.non_subunit_name, file_bytes=bytes(buf)); buf.clear()
        while True:
            c = f.read(1)
            if not c: flush(); return
            b = c[0]
            if b == 0xb3 and not need:
                flush(); at = f.tell() - 1
                try: self._parse_packet(result)
                except (struct.error, ValueError):
                    f.seek(at); h = f.read(6); n = h[3] & 0x3f
                    if h[3] >> 6 == 1: n = n << 8 | h[4]
                    elif h[3] >> 6 == 2: n = n << 16 | h[4] << 8 | h[5]
                    d = h + f.read(max(0, n - 6))
                    result.status(test_id='subunit.parser', eof=True, file_name='Packet data', file_bytes=d,
                                  mime_type='application/octet-stream')
                    result.status(test_id='subunit.parser', test_status='fail', eof=True, file_name='Parser Error',
                                  file_bytes=b'(text free) malformed packet', mime_type='text/plain;charset=utf8')
                continue
            if 0x80 <= b < 0xc0 and need: need -= 1
            else: need = 1 if 0xc2 <= b < 0xe0 else 2 if 0xe0 <= b < 0xf0 else 3 if 0xf0 <= b < 0xf5 else 0
            buf += c
            if len(buf) == 1048576: flush()

def clean(b):
    l = Log(); Clean(io.BytesIO(b), non_subunit_name='stdout').run(l); return l.ev

def vi(n, w=None):
    if w is None: w = 1 if n < 64 else 2 if n < 16384 else 3 if n < 4194304 else 4
    return (n | {1: 0, 2: 0x4000, 3: 0x800000, 4: 0xc0000000}[w]).to_bytes(w, 'big')
def s(x, w=None):
    x = x if isinstance(x, bytes) else x.encode()
    return vi(len(x), w) + x
def raw(flags, body=b'', length=None, lw=None, crc=None, sig=b'\xb3'):
    """Hand-built packet; length/crc may be forced wrong."""
    if length is None:
        for w in ((lw,) if lw else (1, 2, 3, 4)):
            tot = 1 + 2 + w + len(body) + 4
            if lw or tot < {1: 64, 2: 16384, 3: 4194304, 4: 1 << 30}[w]: break
        L = vi(tot, w)
    else: L = vi(length, lw)
    p = sig + struct.pack('>H', flags) + L + body
    return p + struct.pack('>I', zlib.crc32(p) if crc is None else crc)
def py(events, route=None):
    o = io.BytesIO(); w = StreamResultToBytes(o)
    for e in events:
        e = dict(e)
        if route is not None:
            e['route_code'] = route if e.get('route_code') is None else route + '/' + e['route_code']
        w.status(**e)
    return o.getvalue()
def ts(sec, us=0): return datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=sec, microseconds=us)

# ---------------------------------------------------------------- valid
def valid_cases(rnd):
    ev = []
    for st, run, eof, tags, mime, fil, rt, t, tid in itertools.product(STAT, (True, False), (False, True),
            (None, ['a'], ['zeta', 'alpha', 'worker-0']), (None, 'text/plain;charset=utf8'), (None, b'', b'data\n'),
            (None, '0', '3/1'), (None, 1), (None, 'mod.Case.test_x')):
        e = dict(test_status=st, runnable=run, eof=eof)
        if tags: e['test_tags'] = tags
        if mime: e['mime_type'] = mime
        if fil is not None: e['file_name'] = 'traceback'; e['file_bytes'] = fil
        if rt: e['route_code'] = rt
        if t: e['timestamp'] = ts(1700000000 + len(ev), (len(ev) * 7919) % 1000000)
        if tid: e['test_id'] = tid
        ev.append(e)
    yield 'combos', ev, 'all 8 statuses x runnable x eof x tags x mime x file x route x timestamp x test id'
    ev = []
    for n in (0, 1, 2, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 61, 62, 63, 64, 65, 66, 127, 128, 255, 256, 1023,
              16360, 16366, 16368, 16369, 16370, 16371, 16372, 16373, 16374, 16375, 16380, 16381, 16382, 16383, 16384,
              16385, 16386, 65535, 65536):
        ev.append(dict(test_id='t' * n, test_status='exists'))
        ev.append(dict(file_name='f', file_bytes=bytes((i * 31 + n) & 255 for i in range(n))))
        ev.append(dict(test_id='x', test_status='success', route_code='r' * n))
        ev.append(dict(test_id='x', file_name='n' * n, file_bytes=b'z', mime_type='m' * max(n, 1)))
    yield 'lengths', ev, 'string / file lengths over the 1/2/3 byte varint edges and packet lengths 63..66, 16383..16387'
    yield 'huge', [dict(file_name='', file_bytes=b'\xff' * 4194289), dict(test_id='after', test_status='success')], \
        'largest packet: 4194303 bytes; adding a route code overflows (python raises ValueError)'
    yield 'huge_id', [dict(test_id='i' * 4194280, test_status='exists'), dict(test_id='after', test_status='success')], \
        'test id of 4194280 bytes'
    yield 'big_files', [dict(test_id='t', file_name='log', file_bytes=bytes(rnd.randrange(256) for _ in range(70000)),
        eof=(i == 3), mime_type='application/octet-stream') for i in range(4)], 'attachment in 4 chunks, eof on the last'
    yield 'tagcounts', [dict(test_id='t', test_status='success', test_tags=['tag%05d' % i for i in range(n)])
        for n in (1, 2, 62, 63, 64, 65, 1000, 16383, 16384)], 'tag counts over varint edges'
    u = ['caf\u00e9', '\u6d4b\u8bd5', '\U0001f600 grin', 'e\u0301 combining', '\u0645\u0631\u062d\u0628\u0627',
         '\ufeffbom', '\uffff nonchar', '\U0010ffff last', 'line\nbreak', 'tab\tcr\r', '\x01\x1f\x7f', ' lead trail ',
         'a/b/c', '\u00b3 superscript three', '\u0133\u00f3', 'test[param=1,"x"]', '']
    ev = []
    for x in u:
        ev.append(dict(test_id=x, test_status='inprogress', route_code='0'))
        ev.append(dict(test_id='t', test_tags=[x], file_name=x, file_bytes=x.encode(), mime_type=x or 'm', route_code=x))
    yield 'unicode', ev, 'unicode in every string field, file bytes'
    yield 'bytes256', [dict(test_id='t', file_name='all', file_bytes=bytes(range(256)) * 2, eof=True),
        dict(file_name='stdout', file_bytes=b'\0' * 100), dict(file_name='b3', file_bytes=b'\xb3' * 100),
        dict(file_name='nested', file_bytes=raw(0x2901, s('foo')) * 3)], 'NUL, 0xB3 and whole packets inside file content'
    yield 'timestamps', [dict(test_id='t', test_status='success', timestamp=ts(a, b)) for a in
        (0, 1, 63, 64, 951782400, 1700000000, 2**31 - 1, 2**31, 2**32 - 1)
        for b in (0, 1, 16, 17, 4194, 4195, 500000, 999999)], 'u32 seconds edges x microseconds over ns varint edges'
    yield 'routes', [dict(test_id='t', test_status='success', route_code=r) for r in
        ('0', '1', '0/1', '0/1/2/3', '', '/', '/0', '0/', '0//1', 'host-a.example:4711/7', 'a' * 63, 'a' * 64,
         '/'.join(str(i) for i in range(200)))], 'route code shapes incl. empty and empty segments'
    ev = []
    for w in range(8):
        for i in range(50):
            t = 'pkg%d.mod.Case.test_%d' % (w, i); r = str(w)
            ev.append((w + i * 8, dict(test_id=t, test_status='inprogress', route_code=r, timestamp=ts(1700000000 + i, w))))
            if i % 7 == 3:
                ev.append((w + i * 8 + 3, dict(test_id=t, file_name='traceback', file_bytes=b'Traceback\n' * 20, eof=True,
                    mime_type='text/x-traceback;charset="utf8";language="python"', route_code=r)))
            ev.append((w + i * 8 + 9, dict(test_id=t, test_status='fail' if i % 7 == 3 else 'success', route_code=r,
                test_tags=['worker-%d' % w], timestamp=ts(1700000000 + i, 1000 + w))))
    ev.sort(key=lambda p: p[0])
    yield 'interleaved', [e for _, e in ev], '8 workers interleaved, already routed'
    yield 'stdin', [dict(file_name='stdin', file_bytes=b'import pdb\n', route_code='0/1'),
        dict(file_name='stdin', file_bytes=b'', eof=True, route_code='0/1'),
        dict(test_id='a.b.c', test_status='exists', route_code='0')], 'packets a supervisor sends down'

def valid_raw():
    yield 'raw_nonminimal', b''.join([raw(0x2901, s('foo'), lw=2), raw(0x2901, s('foo'), lw=3),
        raw(0x2901, s('foo', 2)), raw(0x2901, s('foo', 3)), raw(0x2901, s('foo', 4)),
        raw(0x2981, s('foo') + vi(1, 4) + s('t', 4)), raw(0x2040, s('f', 2) + vi(3, 4) + b'abc')]), 'agree', \
        'over-long varints are legal on input (length field up to 3 bytes)'
    yield 'raw_ns', b''.join(raw(0x2b03, struct.pack('>I', 1700000000) + vi(n, w) + s('t')) for n in
        (0, 1, 63, 64, 499, 500, 501, 999, 1499, 1500, 1501, 2500, 3500, 16383, 16384, 4194303, 4194304, 999999499, 999999500, 999999999)
        for w in ((None, 4))), 'agree', 'nanoseconds; python rounds to microseconds half-to-even'
    yield 'raw_lengths64', b''.join([raw(0x2040, s('') + vi(n) + b'q' * n, lw=w) for n, w in
        ((53, 1), (53, 2), (52, 2), (52, 3), (16371, 2), (16370, 3))]), 'agree', \
        'total 63 / 64 / 16383 / 16384 forms: python never writes total 64 or 16384 but reads them'
    yield 'raw_emptytags', raw(0x2981, s('foo') + vi(0)) + raw(0x2020, s('')) + raw(0x2400, s('')), 'agree', \
        'tags present with count 0, empty mime type, empty route code: kept as present-but-empty'
    yield 'raw_duptags', raw(0x2981, s('foo') + vi(3) + s('a') + s('b') + s('a')), 'agree', 'duplicate tags collapse'
    yield 'raw_minimal', raw(0x2000) + raw(0x2100) + raw(0x2110) + raw(0x2001), 'agree', '8 byte packets with no field'
    yield 'raw_maxlen4194303', raw(0x2040, s('') + vi(4194289) + b'\x00' * 4194289) + raw(0x2901, s('foo')), 'agree', 'max size'
    yield 'raw_ns_over', raw(0x2203 | 0x800, struct.pack('>I', 5) + vi((1 << 30) - 1, 4) + s('t')), 'python_lenient', \
        'nanoseconds >= 1e9 are carried into seconds'
    yield 'raw_version', b''.join(raw((v << 12) | 0x901, s('v%d' % v)) for v in range(16)), 'python_lenient', \
        'python-subunit never checks the version nibble: all 16 accepted'
    yield 'raw_bit3', raw(0x2909, s('foo')), 'python_lenient', 'bit 3 must be zero; python ignores it'
    yield 'raw_trailing', raw(0x2901, s('foo') + b'TRAILING') + raw(0x2901, s('bar')), 'python_lenient', \
        'bytes after the last field but inside length and CRC are ignored'
    for f in range(0x10000):
        if f & 0x0ee0 == 0 and zlib.crc32(b'\xb3' + struct.pack('>H', f)) >> 24 == 7:
            c = zlib.crc32(b'\xb3' + struct.pack('>H', f))
            yield 'raw_seven_%04x' % f, b'\xb3' + struct.pack('>H', f) + struct.pack('>I', c) + raw(0x2901, s('foo')), \
                'python_lenient', 'a 7 byte "packet": the length byte doubles as the first CRC byte; python accepts it'
            if f >= 0x2000: break

# ---------------------------------------------------------------- corrupt
G = raw(0x2901, s('foo')); H = raw(0x2b03, struct.pack('>I', 1700000000) + vi(5000) + s('bar'))
def corrupt_cases(rnd):
    for n in range(1, len(H)): yield 'trunc_%02d' % n, G + H[:n], 'agree', 'last packet cut after %d bytes' % n
    yield 'badcrc', G + raw(0x2902, s('bad'), crc=0xdeadbeef) + H, 'agree', 'bad CRC, next packet still read'
    yield 'badcrc_run', b''.join(raw(0x2902, s('bad%d' % i), crc=i) for i in range(20)) + H, 'agree', '20 bad CRCs in a row'
    b = bytearray(raw(0x2902, s('flip')));
    for i in range(len(b)):
        c = bytearray(b); c[i] ^= 0x10
        yield 'bitflip_%02d' % i, G + bytes(c) + H + G * 4, 'agree', 'bit 4 of byte %d flipped' % i
    yield 'len_short_by1', G + raw(0x2901, s('foobar'), length=14) + H, 'agree', 'length one too small'
    yield 'len_long_by1', G + raw(0x2901, s('foobar'), length=16) + H + G, 'agree', 'length one too large'
    yield 'len_swallows', raw(0x2901, s('x'), length=200) + G * 10 + H * 10, 'agree', \
        'length 200 swallows whole good packets: python reports one Packet data, the rest resumes inside'
    yield 'len_4byte', b'\xb3\x29\x01\xc0\x00\x00\x10' + G + H, 'agree', '4 byte length: error after 6 bytes, rest is re-scanned'
    for n in range(0, 6):
        yield 'len_%d' % n, b'\xb3\x29\x01' + bytes([n]) + b'ABCDEFGH\n' + G, 'python_crash', 'length %d < 6: read(negative)' % n
    for n in (6, 7, 8): yield 'len_%d' % n, b'\xb3\x29\x01' + bytes([n]) + b'ABCDEFGH\n' + G, 'agree', 'length %d: bad CRC' % n
    for n in range(6, 10): yield 'len3b_%d' % n, b'\xb3\x29\x01' + vi(n, 3) + b'ABCDEFGH\n' + G, \
        'python_crash' if n < 10 else 'agree', 'length %d in a 3 byte varint: CRC slice is empty or short' % n
    yield 'len_max_eof', G + b'\xb3\x29\x01\xbf\xff\xff' + b'rest of the stream\n' * 100 + G, 'agree', 'length 4194303, stream ends first'
    yield 'id_too_long', raw(0x2901, b'\x09foo') + H, 'agree', 'string runs past the packet'
    yield 'id_missing', raw(0x2901) + H, 'python_crash', 'test id flagged, no bytes at all'
    yield 'id_varint_cut', raw(0x2901, b'\x40') + H, 'python_crash', '2 byte varint cut by the end of the body'
    yield 'ts_missing', raw(0x2200) + H, 'python_crash', 'timestamp flagged, no bytes'
    yield 'ts_short', raw(0x2200, b'\0\0') + H, 'python_crash', 'timestamp flagged, 2 bytes'
    yield 'ts_no_ns', raw(0x2200, b'\0\0\0\1') + H, 'python_crash', 'seconds without nanoseconds'
    yield 'tags_overflow', raw(0x2981, s('foo') + vi(5) + s('a')) + H, 'python_crash', '5 tags claimed, 1 there'
    yield 'tags_huge_count', raw(0x2981, s('foo') + vi((1 << 30) - 1)) + H, 'python_crash', '2^30-1 tags claimed'
    yield 'tags_len_past', raw(0x2981, s('foo') + vi(1) + b'\x3fa') + H, 'agree', 'tag string runs past the packet'
    yield 'file_len_past', raw(0x2040, s('f') + vi(5) + b'abc') + H, 'agree', 'file content runs past the packet'
    yield 'file_len_huge', raw(0x2040, s('f') + vi((1 << 30) - 1) + b'abc') + H, 'agree', 'file content claims 2^30-1'
    yield 'file_no_len', raw(0x2040, s('f')) + H, 'python_crash', 'file content length missing'
    yield 'mime_past', raw(0x2020, b'\x05ab') + H, 'agree', 'mime runs past'
    yield 'route_past', raw(0x2d01, s('t') + b'\x05ab') + H, 'agree', 'route runs past'
    yield 'route_missing', raw(0x2d01, s('t')) + H, 'python_crash', 'route flagged, missing'
    for i, (nm, bad) in enumerate([('nul', b'f\0o'), ('ff', b'f\xffo'), ('partial', b'fo\xe2'), ('partial2', b'f\xf0\x9f\x98'),
            ('surrogate', b'\xed\xa0\x80'), ('overlong', b'\xc0\x80'), ('overlong3', b'\xe0\x80\x80'), ('above', b'\xf4\x90\x80\x80'),
            ('cont', b'\xb3\xb3'), ('f8', b'\xf8\x88\x80\x80\x80'), ('nul_and_ff', b'\0\xff'), ('mid_bad', b'ab\xe2\x28\xa1'),
            ('partial_then_ok', b'\xe2\x82a')]):
        yield 'utf8_id_' + nm, raw(0x2901, s(bad)) + H, 'agree', 'bad string in test id'
        yield 'utf8_route_' + nm, raw(0x2d01, s('ok') + s(bad)) + H, 'agree', 'bad string in route code (a mux must prefix or reject)'
        yield 'utf8_tag_' + nm, raw(0x2981, s('ok') + vi(2) + s('t') + s(bad)) + H, 'agree', 'bad string in a tag'
        yield 'utf8_mime_' + nm, raw(0x2020, s(bad)) + H, 'agree', 'bad string in mime'
        yield 'utf8_fname_' + nm, raw(0x2040, s(bad) + vi(1) + b'x') + H, 'agree', 'bad string in file name'
    yield 'chatter_lines', b'make: entering\n' + G + b'compiling foo.c\n' + H + b'done\n', 'agree', 'text between packets'
    yield 'chatter_nonl', b'starting server' + G + b'no newline' + H + b'tail', 'agree', 'no newline before a packet (python still sees it)'
    yield 'chatter_only', b'just text\nno packets \xe2\x82\xac\n', 'agree', 'no packets'
    yield 'chatter_bin', bytes(x for x in range(256) if x < 0x80) * 5 + G, 'agree', 'ASCII incl. NUL as chatter'
    yield 'chatter_2mib', (b'0123456789abcde\n' * 65536) * 2 + b'rest\n' + G, 'agree', 'chatter over 1 MiB is split at exactly 1048576'
    yield 'chatter_utf8_b3', 'x\u00b3y \u0133 \u3cca z\n'.encode() + G + 'x\u00b3'.encode(), 'agree', '0xB3 inside UTF-8 characters'
    yield 'chatter_latin1_b3', b'area 5 m\xb3 ok\n' + G + H, 'agree', 'bare 0xB3: the parser reads a bogus length and swallows'
    yield 'chatter_b3_short', b'\xb3\x20\x00\x08' + b'zzzz' + G, 'agree', '0xB3 that looks like an 8 byte packet, bad CRC'
    yield 'chatter_b3b3', b'\xb3' * 7 + G + G * 30, 'agree', 'run of 0xB3'
    yield 'chatter_truncchar', b'half char \xe2\x82' + G + H, 'python_quirk', \
        'cut UTF-8 character just before a packet: the signature is taken as its third byte and the packet is lost as text'
    yield 'chatter_truncchar_nl', b'half char \xe2\n' + G + H, 'python_quirk', 'decoder state sticks after an error'
    yield 'chatter_stuck', b'\xe2A\x80' + G + b'A' + H, 'python_quirk', 'stale decoder state survives errors and packets'
    yield 'chatter_ff', b'\xff\xfe\x80\x81\n' + G + b'\xc0\xaf' + H, 'python_quirk', 'invalid UTF-8 chatter'
    yield 'half_then_good', H[:9] + G + H + G * 3, 'agree', 'writer died mid packet, next writer starts: damage eats the next packet'
    yield 'interleaved_writers', G[:6] + H + G[6:] + G + H, 'agree', 'two writers interleave inside a packet'
    yield 'crlf', G.replace(b'\n', b'\r\n') + b'\r\n' + H, 'agree', 'CRLF between packets'
    d = raw(0x2901, s('line\nid')); yield 'textmode', d.replace(b'\n', b'\r\n') + G * 4, 'agree', 'packet mangled by text mode'
    yield 'v1_stream', b'test: foo\nsuccess: foo\n' + G, 'agree', 'subunit v1 in a v2 stream is chatter'
    yield 'nul_gap', b'\0' * 512 + G + b'\0' * 10 + H, 'agree', 'zero filled hole'
    yield 'empty', b'', 'agree', 'empty stream'

def bench(n, rnd, path):
    """Realistic traffic: per test inprogress + outcome, 4% fail with a traceback, 1% skip, some stdout, tags, timestamps."""
    tb = ('Traceback (most recent call last):\n' + ''.join(
        '  File "/srv/build/project/package/module_%d.py", line %d, in method_%d\n    self.assertEqual(expected, actual)\n'
        % (i, 100 + i, i) for i in range(9)) + 'AssertionError: 1 != 2\n').encode()
    k = 0; t = 1700000000000000
    with open(path, 'wb') as f:
        w = StreamResultToBytes(io.BytesIO())
        def put(**e):
            nonlocal k
            w.output_stream = o = io.BytesIO(); w.status(**e); f.write(o.getvalue()); k += 1
        i = 0
        while k < n:
            tid = 'project.tests.unit.package%d.test_module%d.TestClass%d.test_does_thing_%d' % (i % 17, i % 211, i % 997, i)
            r = str(i % 64); t += rnd.randrange(1, 4000)
            put(test_id=tid, test_status='inprogress', timestamp=ts(t // 1000000, t % 1000000)); x = rnd.random()
            if k < n and x < 0.10: put(test_id=tid, file_name='stdout', mime_type='text/plain;charset=utf8',
                file_bytes=b'log line with some detail\n' * rnd.randrange(1, 40), eof=True)
            if k < n and 0.10 < x < 0.14: put(test_id=tid, file_name='traceback', file_bytes=tb, eof=True,
                mime_type='text/x-traceback;charset="utf8";language="python"')
            if k < n: put(test_id=tid, test_status='fail' if 0.10 < x < 0.14 else 'skip' if x > 0.99 else 'success',
                test_tags=['worker-' + r], timestamp=ts((t + 900) // 1000000, (t + 900) % 1000000))
            i += 1

def main():
    ap = argparse.ArgumentParser(); ap.add_argument('out'); ap.add_argument('--seed', type=int, default=1)
    ap.add_argument('--fuzz', type=int, default=3000); ap.add_argument('--bench', type=int, default=0)
    ap.add_argument('--only'); a = ap.parse_args(); o = a.out; man = []
    def emit(d, name, data, cls, made, note):
        os.makedirs(os.path.join(o, d), exist_ok=True); p = os.path.join(o, d, name)
        with open(p + '.bin', 'wb') as f: f.write(data)
        ev, exc = decode(p + '.bin')
        if exc and cls == 'agree': cls = 'python_crash'
        if not exc and cls == 'python_crash': cls = 'agree'
        rec = clean(data)
        if cls in ('agree', 'python_quirk'): cls = 'agree' if rec == ev else 'python_quirk'
        if rec != ev:
            with open(p + '.rec.jsonl', 'w') as f:
                for e in rec: f.write(json.dumps(e, sort_keys=True) + '\n')
        with open(p + '.jsonl', 'w') as f:
            for e in ev: f.write(json.dumps(e, sort_keys=True) + '\n')
            if exc: f.write(json.dumps({'exc': exc}) + '\n')
        man.append(dict(name=d + '/' + name, cls=cls, made_by=made, bytes=len(data), events=len(ev), exc=exc,
                        sha256=hashlib.sha256(data).hexdigest(), note=note))
    want = lambda k: a.only in (None, k)
    if want('valid'):
        for name, ev, note in valid_cases(random.Random(a.seed)):
            emit('valid', name, py(ev), 'agree', 'python-subunit writer', note)
            try:
                with open(os.path.join(o, 'valid', name + '.mux7.bin'), 'wb') as f: f.write(py(ev, '7'))
            except ValueError as e:
                os.unlink(os.path.join(o, 'valid', name + '.mux7.bin')); man[-1]['mux7'] = 'python raises: %s' % e
        for name, data, cls, note in valid_raw(): emit('valid', name, data, cls, 'raw builder', note)
    if want('corrupt'):
        for name, data, cls, note in corrupt_cases(random.Random(a.seed)): emit('corrupt', name, data, cls, 'raw builder', note)
    if want('fuzz'):
        rnd = random.Random(a.seed * 1000003 + 7); os.makedirs(os.path.join(o, 'fuzz'), exist_ok=True)
        base = [py([e]) for _, ev, _ in itertools.islice((c for c in valid_cases(random.Random(1)) if c[0] in ('combos', 'unicode', 'routes', 'interleaved')), 9) for e in ev[::37]]
        base = [b for b in base if len(b) < 400]; nb = {}
        with open(os.path.join(o, 'fuzz', 'fuzz.jsonl'), 'w') as f:
            for i in range(a.fuzz):
                pk = [rnd.choice(base) for _ in range(rnd.randrange(1, 6))]; b = bytearray(b''.join(pk)); muts = []
                for _ in range(rnd.randrange(1, 4)):
                    m = rnd.choice(['flip', 'del', 'ins', 'dup', 'trunc', 'text', 'b3', 'swap', 'recrc']); muts.append(m)
                    if not b: break
                    p = rnd.randrange(len(b))
                    if m == 'flip': b[p] ^= 1 << rnd.randrange(8)
                    elif m == 'del': del b[p:p + rnd.randrange(1, 20)]
                    elif m == 'ins': b[p:p] = bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 12)))
                    elif m == 'dup': q = p + rnd.randrange(1, 40); b[p:p] = b[p:q]
                    elif m == 'trunc': del b[p:]
                    elif m == 'text': b[p:p] = b'some chatter\n'
                    elif m == 'b3': b[p:p] = b'\xb3' * rnd.randrange(1, 4)
                    elif m == 'swap': q = rnd.randrange(len(b)); b[p], b[q] = b[q], b[p]
                    elif m == 'recrc':   # damage the body but make the CRC right: reaches the field parser
                        c = bytearray(rnd.choice(base)); q = rnd.randrange(4, max(5, len(c) - 4)); c[q] = rnd.randrange(256)
                        fl = rnd.random()
                        if fl < 0.3: c[1] = 0x20 | rnd.randrange(16)
                        elif fl < 0.5: c[2] = rnd.randrange(256)
                        c[-4:] = struct.pack('>I', zlib.crc32(bytes(c[:-4]))); b += c
                b = bytes(b); ev, exc = decode_bytes(b)
                rec = clean(b); cls = 'python_crash' if exc else 'agree' if rec == ev else 'python_quirk'
                nb[cls] = nb.get(cls, 0) + 1
                f.write(json.dumps(dict(id=i, mut=muts, hex=b.hex(), events=ev, exc=exc, cls=cls, rec=None if rec == ev else rec), sort_keys=True) + '\n')
        man.append(dict(name='fuzz/fuzz', cls='mixed', made_by='mutations, seed %d' % a.seed, cases=a.fuzz, classes=nb))
    if a.bench and want('bench'):
        os.makedirs(os.path.join(o, 'bench'), exist_ok=True)
        bench(a.bench, random.Random(a.seed), os.path.join(o, 'bench', 'bench.bin'))
    with open(os.path.join(o, 'manifest.json' if a.only is None else 'manifest.%s.json' % a.only), 'w') as f:
        json.dump(man, f, indent=1, ensure_ascii=True)
    n = {}
    for m in man: n[m['cls']] = n.get(m['cls'], 0) + 1
    print(len(man), 'cases', n)
if __name__ == '__main__': main()
