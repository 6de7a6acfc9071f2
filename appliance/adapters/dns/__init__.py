"""The authoritative DNS server: dnslib packs records, ready-made answers are looked up, sockets carry them.

server     start and stop, zones and values in, counters out
udp, tcp   the two transports: a thread for each UDP socket, and one for all of TCP
batches    many datagrams in one system call
table      one generation of contents -> ready-made replies; what both transports ask
questions  a message as it came in, read the short way
codec      records -> octets (dnslib) when contents change, and every message that is not plain
"""

from appliance.adapters.dns.server import DnsServer

__all__ = ["DnsServer"]
