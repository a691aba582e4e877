"""Frames as on the wire, well formed and malformed, and a raw socket to send them."""
import random
import socket
import struct
import time

ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0003, 0x0800, 0x0806, 0x86DD
ICMP, IGMP, TCP, UDP, ICMPV6 = 1, 2, 6, 17, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
BROADCAST = b"\xff" * 6
ETHERNET_BYTES, MTU = 14, 1500


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def ethernet(to, source, kind, payload):
    return to + source + struct.pack("!H", kind) + payload


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack("!HHBBH", 1, ETH_P_IP, 6, 4, operation) + sender_mac + sender + target_mac + target


def ipv4(source, to, protocol, payload, *, identity=1, offset=0, more=False, options=b"", ttl=64):
    """`offset` in units of 8 bytes."""
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | 5 + len(options) // 4, 0, 20 + len(options) + len(payload),
                         identity, more << 13 | offset, ttl, protocol, 0, source, to) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(source, to, following, payload, *, hops=255):
    return struct.pack("!IHBB", 6 << 28, len(payload), following, hops) + source + to + payload


def pseudo(source, to, protocol, length):
    if len(source) == 4:
        return source + to + struct.pack("!BBH", 0, protocol, length)
    return source + to + struct.pack("!IHBB", length, 0, 0, protocol)


def summed(source, to, protocol, segment, at):
    """The segment with its checksum, which is at byte `at`."""
    segment = segment[:at] + b"\0\0" + segment[at + 2:]
    value = checksum(pseudo(source, to, protocol, len(segment)) + segment)
    return segment[:at] + struct.pack("!H", value) + segment[at + 2:]


def tcp(source, to, source_port, port, sequence, acknowledged, flags, data=b"", *, window=65535, options=b"",
        urgent=0):
    options += b"\0" * (-len(options) % 4)
    segment = struct.pack("!HHIIBBHHH", source_port, port, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF,
                          5 + len(options) // 4 << 4, flags, window, 0, urgent) + options + data
    return summed(source, to, TCP, segment, 16)


def udp(source, to, source_port, port, data):
    return summed(source, to, UDP, struct.pack("!HHHH", source_port, port, 8 + len(data), 0) + data, 6)


def icmp(kind, code, rest):
    message = struct.pack("!BBH", kind, code, 0) + rest
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmpv6(source, to, kind, code, rest):
    return summed(source, to, ICMPV6, struct.pack("!BBH", kind, code, 0) + rest, 2)


class Wire:
    """An interface, as another device on the wire sees it."""

    def __init__(self, interface):
        self.interface = interface
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))
        self.mac = self.socket.getsockname()[4]

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, wanted, patience):
        """The first frame for which wanted(frame) is true; None: none came."""
        until = time.monotonic() + patience
        try:
            while (left := until - time.monotonic()) > 0:
                self.socket.settimeout(left)
                frame, origin = self.socket.recvfrom(65536)
                if origin[2] != socket.PACKET_OUTGOING and wanted(frame):
                    return frame
        except socket.timeout:
            pass
        return None

    def find_mac(self, mac, sender, target):
        """Asks by ARP, for `sender`, for the MAC of `target`, an IPv4 address; repeats as hosts do."""
        for _ in range(5):
            self.send(ethernet(BROADCAST, mac, ETH_P_ARP, arp(1, mac, sender, bytes(6), target)))
            answer = self.receive(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" and
                                  f[28:32] == target, 1)
            if answer:
                return answer[22:28]
        return None

    def close(self):
        self.socket.close()


class Peer:
    """
    One TCP connection over IPv4 from `own` to `to`, each a (MAC, address). It does only what the test asks for:
    it acknowledges nothing by itself, and sends segments that no kernel would.
    """

    def __init__(self, interface, own, to, source_port, port):
        self.wire = Wire(interface)
        self.own, self.to, self.source_port, self.port = own, to, source_port, port
        self.next = 1000  # our sequence number
        self.expected = self.acknowledged = self.window = 0
        self.heard = []  # (sequence, flags, data) of all received segments

    def say(self, data=b"", *, at=0, flags=ACK, window=65535, options=b"", acknowledge=None):
        """Sends the next bytes of the stream; with `at` they are out of order, and do not count."""
        (mac, own), (to_mac, to) = self.own, self.to
        acknowledge = self.expected if acknowledge is None else acknowledge
        segment = tcp(own, to, self.source_port, self.port, self.next + at, acknowledge, flags, data, window=window,
                      options=options)
        self.wire.send(ethernet(to_mac, mac, ETH_P_IP, ipv4(own, to, TCP, segment)))
        if at == 0:
            self.next += len(data)

    def listen(self, seconds):
        """Receives for this time; returns the segments."""
        fresh, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            frame = self.wire.receive(self._is_ours, left)
            if frame:
                fresh.append(self._segment(frame))
        self.heard += fresh
        return fresh

    def _is_ours(self, frame):
        return frame[12:14] == b"\x08\0" and frame[23] == TCP and \
            frame[34:38] == struct.pack("!HH", self.port, self.source_port)

    def _segment(self, frame):
        sequence, acknowledged, offset, flags, self.window = struct.unpack("!IIBBH", frame[38:50])
        end = ETHERNET_BYTES + int.from_bytes(frame[16:18], "big")
        data = frame[34 + (offset >> 4) * 4:end]
        self.acknowledged = max(self.acknowledged, acknowledged)
        if sequence == self.expected or flags & SYN:
            self.expected = sequence + len(data) + bool(flags & (SYN | FIN))
        return sequence, flags, data

    def open(self, window=65535, options=b"\x02\x04\x05\xb4"):
        """The handshake; the MSS is 1460."""
        self.say(flags=SYN, window=window, options=options, acknowledge=0)
        self.next += 1
        for _ in range(50):
            if self.listen(0.1):
                break
        assert self.expected, "the port does not answer"
        self.say(window=window)

    def fill(self, leave):
        """Sends until the window has room for `leave` bytes and no more."""
        for _ in range(1000):
            fresh = self.listen(0.02)
            room = self.acknowledged + self.window - self.next
            if room > leave:
                self.say(b"x" * min(1460, room - leave))
            elif not fresh and self.acknowledged == self.next:
                return room
        raise AssertionError("the window does not close")

    def close(self):
        self.wire.close()


class Stranger:
    """
    A host that does not exist, at `wire`, and that follows no rule. Its frames follow from the seed and
    from the port's answers.
    """

    def __init__(self, wire, seed, hosts, ports, *, spare):
        """`hosts`: (own, the port's) IPv4, then IPv6. `spare`: an address that it never claims to be."""
        self.wire, self.random = wire, random.Random(seed)
        (self.own4, self.to4), (self.own6, self.to6) = [tuple(map(address, pair)) for pair in hosts]
        self.ports, self.spare = ports, address(spare)
        self.mac = bytes([2, 0xFF]) + self.random.randbytes(4)
        self.to_mac = wire.find_mac(self.mac, self.own4, self.to4)
        assert self.to_mac, "the port does not answer"
        self.connections = {}  # (is IPv6, own port): [to port, sequence, acknowledged]

    def _number(self, bits):
        """A number, mostly at the edges where lengths and counters overflow."""
        most = (1 << bits) - 1
        edges = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 40, most >> 1, (most >> 1) + 1, most - 1, most)
        return self.random.choice(edges) & most if self.random.random() < 0.7 else self.random.getrandbits(bits)

    def _data(self, most=1400):
        return self.random.randbytes(min(most, self._number(self.random.choice((4, 8, 11)))))

    def _pair(self, six):
        """(source, destination): mostly its own and the port's, sometimes an invalid one."""
        own, to = (self.own6, self.to6) if six else (self.own4, self.to4)
        strange = [bytes(len(own)), b"\xff" * len(own), to, own[:-1] + bytes([self.random.getrandbits(8)])]
        strange += map(address, ("::1", "ff02::1", "fe80::1", "::ffff:10.9.0.1") if six else
                       ("127.0.0.1", "224.0.0.1", "10.9.0.255", "255.255.255.255"))
        if self.random.random() < 0.1:
            own = self.random.choice(strange)
        if self.random.random() < 0.1:
            to = self.random.choice(strange)
        return own, to

    def _packet(self, six, source, to, protocol, payload):
        if six:
            return self._extended(source, to, protocol, payload)
        if self.random.random() < 0.1:
            return self._fragment(source, to, protocol, payload)
        options = b""
        if self.random.random() < 0.1:
            options = self.random.choice((b"\x01" * 4, b"\x83\x07\x04" + to + b"\0", b"\x44\x28\x05\0" + bytes(36),
                                          b"\x07\xff\x04\0", self.random.randbytes(40)))
            options = options[:len(options) // 4 * 4]
        return ipv4(source, to, protocol, payload, identity=self.random.getrandbits(16), options=options,
                    ttl=self._number(8))

    def _fragment(self, source, to, protocol, payload):
        """A fragment; identities are few, so that fragments meet and overlap."""
        return ipv4(source, to, protocol, payload[:self._number(10)], identity=self.random.randrange(4),
                    offset=self.random.choice((0, 1, 2, 3, self._number(13))), more=self.random.random() < 0.7)

    def _extended(self, source, to, protocol, payload):
        while self.random.random() < 0.2:
            following = self.random.choice((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION))
            if following == FRAGMENT:
                rest = struct.pack("!HI", self.random.choice((0, 1, 8, 9, self._number(16))),
                                   self.random.randrange(4))
                header = bytes([protocol, 0]) + rest
            else:
                length = self._number(2)
                header = bytes([protocol, length]) + self.random.choice((bytes(6 + 8 * length),
                                                                         self.random.randbytes(6 + 8 * length)))
            protocol, payload = following, header + payload
        return ipv6(source, to, protocol, payload, hops=self._number(8) if self.random.random() < 0.2 else 255)

    def _tcp_options(self):
        options = b""
        while self.random.random() < 0.4:
            kind = self.random.choice((0, 1, 2, 3, 4, 5, 8, self.random.getrandbits(8)))
            length = {0: 1, 1: 1, 2: 4, 3: 3, 4: 2, 5: 10, 8: 10}.get(kind, 4)
            options += bytes([kind]) + (b"" if kind < 2 else
                                        bytes([self.random.choice((length, length, self._number(8)))]) +
                                        self.random.randbytes(length - 2))
        return options[:40]

    def _tcp(self, six):
        """A segment of one of its connections, or of none."""
        mine = [key for key in self.connections if key[0] == six]
        if mine and self.random.random() < 0.9:
            key = self.random.choice(mine)
            return self._in_order(key) if self.random.random() < 0.4 else self._out_of_order(key)
        source, to = self._pair(six)
        flags = self.random.choice((SYN, SYN, 0, ACK, RST, FIN, SYN | FIN, 0xFF))
        data = self._data() if self.random.random() < 0.2 else b""
        return self._packet(six, source, to, TCP, tcp(
            source, to, self.random.getrandbits(16), self.random.choice(self.ports), self._number(32),
            self._number(32), flags, data, window=self._number(16), options=self._tcp_options()))

    def _in_order(self, key):
        """The next segment of a good peer."""
        connection = self.connections[key]
        port, sequence, acknowledged = connection
        own, to = (self.own6, self.to6) if key[0] else (self.own4, self.to4)
        data = self._data()
        connection[1] += len(data)
        segment = tcp(own, to, key[1], port, sequence, acknowledged, ACK, data)
        return (ipv6 if key[0] else ipv4)(own, to, TCP, segment)

    def _out_of_order(self, key):
        """A segment whose numbers, flags and lengths are slightly wrong."""
        six, source_port = key
        port, sequence, acknowledged = self.connections[key]
        source, to = self._pair(six)
        sequence += self.random.choice((0, 0, 0, 1, -1, 1000, 3000, 60000, 65535, -65536, self._number(32)))
        acknowledged += self.random.choice((0, 0, 0, 1, -1, self._number(32)))
        flags = self.random.choice((ACK, ACK, ACK | PSH, URG | ACK, 0))
        if self.random.random() < 0.02:
            flags = self.random.choice((ACK | FIN, ACK | RST, ACK | SYN, SYN, self.random.getrandbits(8)))
            if flags & (FIN | RST | SYN):
                self.connections.pop(key)
        return self._packet(six, source, to, TCP, tcp(
            source, to, source_port, port, sequence, acknowledged, flags, self._data(), window=self._number(16),
            options=self._tcp_options(), urgent=self._number(16)))

    def _udp(self, six):
        source, to = self._pair(six)
        ports = (0, 53, 67, 68, 161, 546, 5353, *self.ports)
        return self._packet(six, source, to, UDP, udp(source, to, self.random.choice(ports),
                                                      self.random.choice(ports), self._data()))

    def _icmp(self, _six):
        source, to = self._pair(False)
        kind = self.random.choice((0, 3, 4, 5, 8, 8, 8, 11, 13, 17, self.random.getrandbits(8)))
        inner = ipv4(to, source, TCP, struct.pack("!HHI", *self.ports[:1] * 2, 0))
        rest = self.random.choice((bytes(4) + inner, self._data(), struct.pack("!HH", 7, 1) + self._data()))
        return self._packet(False, source, to, ICMP, icmp(kind, self._number(3), rest))

    def _igmp(self, _six):
        source, to = self._pair(False)
        return self._packet(False, source, to, IGMP, icmp(self.random.choice((0x11, 0x16, 0x17, 0x22)), self._number(8),
                                                          self.random.choice((bytes(4), self._data()))))

    def _discovery_options(self):
        """Options of neighbour discovery, with lengths in units of 8 bytes."""
        options = b""
        while self.random.random() < 0.6:
            kind = self.random.choice((1, 2, 3, 5, 24, 25, 31, self.random.getrandbits(8)))
            units = self.random.choice((1, 1, 2, 4))
            options += bytes([kind, self.random.choice((units, units, self._number(8)))]) + \
                self.random.randbytes(units * 8 - 2)
        return options

    def _icmpv6(self, _six):
        source, to = self._pair(True)
        kind = self.random.choice((1, 2, 3, 4, 128, 128, 129, 130, 131, 132, 133, 134, 135, 135, 136, 137, 143,
                                   self.random.getrandbits(8)))
        fixed = {133: 4, 134: 12, 135: 20, 136: 20, 137: 36}.get(kind, 4)
        rest = self.random.choice((bytes(fixed), bytes(4) + to + bytes(max(0, fixed - 20)),
                                   self.random.randbytes(fixed))) + self._discovery_options()
        if kind in (1, 2, 3, 4, 128):
            rest += self._data()
        return self._packet(True, source, to, ICMPV6, icmpv6(source, to, kind, self._number(2), rest))

    def _arp(self):
        sender, target = self._pair(False)
        return arp(self.random.choice((1, 1, 2, self._number(16))), self.mac, sender,
                   self.random.choice((bytes(6), self.to_mac)), target)

    def _spoil(self, packet):
        """Changes, removes or adds bytes; checksums stay as they were."""
        packet = bytearray(packet)
        for _ in range(self.random.choice((0, 1, 1, 2, 8))):
            if packet:
                at = self.random.randrange(min(len(packet), self.random.choice((8, 40, 80, 2000))))
                packet[at] = self.random.choice((packet[at] ^ 1 << self.random.randrange(8), self._number(8)))
        if self.random.random() < 0.3:
            del packet[self.random.randrange(len(packet) + 1):]
        if self.random.random() < 0.1:
            packet += self._data(64)
        return bytes(packet)

    def _mended(self, packet):
        """Corrects the checksums, so that the spoiled packet gets past them."""
        if len(packet) >= 40 and packet[0] >> 4 == 6:
            header, source, to, protocol = 40, packet[8:24], packet[24:40], packet[6]
        elif len(packet) >= 20 and packet[0] >> 4 == 4 and 20 <= (packet[0] & 15) * 4 <= len(packet):
            header, source, to, protocol = (packet[0] & 15) * 4, packet[12:16], packet[16:20], packet[9]
            start = packet[:10] + b"\0\0" + packet[12:header]
            packet = packet[:10] + struct.pack("!H", checksum(start)) + packet[12:]
        else:
            return packet
        rest = packet[header:]
        at = {TCP: 16, UDP: 6, ICMPV6: 2}.get(protocol)
        if at and len(rest) >= at + 2:
            rest = summed(source, to, protocol, rest, at)
        elif protocol in (ICMP, IGMP) and len(rest) >= 4:
            rest = rest[:2] + struct.pack("!H", checksum(rest[:2] + b"\0\0" + rest[4:])) + rest[4:]
        return packet[:header] + rest

    def frame(self):
        """The next frame."""
        six = self.random.random() < 0.4
        if self.random.random() < 0.1:
            kind, packet = ETH_P_ARP, self._arp()
        else:
            make = self.random.choice((self._tcp, self._tcp, self._tcp, self._udp, self._igmp) +
                                      ((self._icmpv6, self._icmpv6) if six else (self._icmp,)))
            packet = make(six)
            kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
        if self.random.random() < 0.5:
            packet = self._spoil(packet)
            packet = self._mended(packet) if self.random.random() < 0.7 else packet
        if self.random.random() < 0.01:
            kind = self.random.choice((0, 46, 1500, 0x8100, 0x88CC, 0x8863, self.random.getrandbits(16)))
        to = self.to_mac
        if self.random.random() < 0.1:
            to = self.random.choice((BROADCAST, b"\x01\x00\x5e\0\0\1", b"\x33\x33\0\0\0\1", b"\x33\x33" + to[2:],
                                     self.random.randbytes(6)))
        return ethernet(to, self.mac, kind, packet[:MTU])

    def is_spared(self, frame):
        """The frame would make the port take the stranger for the host that must be spared."""
        kind, packet = frame[12:14], frame[ETHERNET_BYTES:]
        if kind == b"\x08\x06":
            return packet[14:18] == self.spare
        return kind == b"\x08\0" and packet[12:16] == self.spare

    def connect(self, six):
        """Makes a regular TCP handshake, and so a connection to misuse."""
        own, to = (self.own6, self.to6) if six else (self.own4, self.to4)
        source_port, port = self.random.randrange(1024, 65536), self.random.choice(self.ports)
        sequence, start = self.random.getrandbits(32), ETHERNET_BYTES + (40 if six else 20)
        packed = ipv6 if six else ipv4
        kind = ETH_P_IPV6 if six else ETH_P_IP

        def send(*fields):
            self.wire.send(ethernet(self.to_mac, self.mac, kind, packed(own, to, TCP, tcp(
                own, to, source_port, port, *fields))))

        ears = Wire(self.wire.interface)
        send(sequence, 0, SYN)
        wanted = struct.pack("!HH", port, source_port)
        answer = ears.receive(lambda f: f[start:start + 4] == wanted and f[start + 13] & SYN, 0.05)
        ears.close()
        if answer:
            acknowledged = int.from_bytes(answer[start + 4:start + 8], "big") + 1
            send(sequence + 1, acknowledged, ACK)
            self.connections[six, source_port] = [port, sequence + 1, acknowledged]

    def introduce(self):
        """Announces its MAC by ARP and by a neighbour advertisement."""
        self.wire.send(ethernet(self.to_mac, self.mac, ETH_P_ARP, arp(2, self.mac, self.own4, self.to_mac, self.to4)))
        solicitation = bytes(4) + self.to6 + b"\1\1" + self.mac
        self.wire.send(ethernet(self.to_mac, self.mac, ETH_P_IPV6, ipv6(
            self.own6, self.to6, ICMPV6, icmpv6(self.own6, self.to6, 135, 0, solicitation))))

    def send(self):
        frame = self.frame()
        if not self.is_spared(frame):
            self.wire.send(frame)
