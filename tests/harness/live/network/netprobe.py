"""Probes from the network namespaces of pods, and from an address outside of the cluster: hundreds at once, through one command on a node.

Nothing of a pod's image is used: the node's own perl runs in the pod's network namespace, so its packets are the pod's. A refusal (RST, or ICMP's port
unreachable for UDP) shows that a packet arrived as well as an answer does; what policies drop is met by silence.

Sources: nsenter(1), ip-netns(8), cgroups(7); names of cgroups are the kubelet's (``pod<uid>``, with underscores under systemd).
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.live.ground.cluster import Cluster

#: Seconds that a probe waits: a lost packet is sent again after one.
WAIT: Final = 3.0
#: The node itself, as a source.
NODE: Final = "node"
_SPACE: Final = "plimsoll-outside"
_LINK: Final = "plimsoll-out0"
#: The two ends of the way outside (RFC 5737: for documentation, routed nowhere).
HERE, THERE = "192.0.2.1", "192.0.2.2"

#: Reads lines ``number protocol address port from``, connects everywhere at once, and prints ``number result`` for each.
_INNER: Final = r"""
use Socket; use IO::Select; use Fcntl; use Time::HiRes qw(time); use Errno;
my $end = time + shift; my (%tcp, %udp, %said); my $out = "";
sub say_ { my ($n, $what) = @_; $out .= "$n $what\n" unless $said{$n}++ }
sub word { my $e = shift; return $e == 0 ? "open" : $e == Errno::ECONNREFUSED ? "refused" : $e == Errno::ETIMEDOUT ? "silent" : "unreachable" }
my $query = pack("n6", 7, 0x100, 1, 0, 0, 0) . "\0" . pack("n2", 2, 1);
my $r = IO::Select->new; my $w = IO::Select->new; my @all;
while (my $line = <STDIN>) {
  my ($n, $protocol, $address, $port, $from) = split " ", $line; push @all, $n;
  my $udp = $protocol eq "UDP";
  socket(my $s, PF_INET, $udp ? SOCK_DGRAM : SOCK_STREAM, getprotobyname($udp ? "udp" : "tcp") // ($udp ? 17 : 6)) or do { say_($n, "broken"); next };
  fcntl($s, F_SETFL, O_NONBLOCK);
  if ($from && !bind($s, sockaddr_in(0, inet_aton($from)))) { say_($n, "broken"); next }
  my $ok = connect($s, sockaddr_in($port, inet_aton($address)));
  if (!$ok && $! != Errno::EINPROGRESS) { say_($n, word($!+0)); next }
  if ($udp) { send($s, $query, 0); $udp{fileno $s} = [$n, $s]; $r->add($s) } else { $tcp{fileno $s} = [$n, $s]; $w->add($s) }
}
while (($r->count || $w->count) && (my $left = $end - time) > 0) {
  my ($rr, $ww) = IO::Select->select($r->count ? $r : undef, $w->count ? $w : undef, undef, $left);
  for my $s (@{$ww || []}) { say_($tcp{fileno $s}[0], word(unpack("i", getsockopt($s, SOL_SOCKET, SO_ERROR)))); $w->remove($s); close $s }
  for my $s (@{$rr || []}) {
    my $got = recv($s, my $answer, 512, 0);
    say_($udp{fileno $s}[0], defined $got ? "open" : word($!+0)); $r->remove($s); close $s;
  }
}
say_($_, "silent") for @all;
syswrite STDOUT, $out;
"""
#: Reads groups: ``SOURCE where`` and then lines for the inner program. Runs one inner program in each source's network namespace, all at once.
_OUTER: Final = r"""
my ($inner, $wait) = @ARGV; my (%pid, @groups);
for my $file (glob "/proc/[0-9]*/cgroup") {
  open(my $in, "<", $file) or next; local $/; my $text = <$in>;
  next unless $text =~ /pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})/; my $uid = $1; $uid =~ tr/_/-/;
  my ($pid) = $file =~ m{(\d+)}; $pid{$uid} = $pid if !$pid{$uid} || $pid < $pid{$uid};
}
while (my $line = <STDIN>) { chomp $line; if ($line =~ s/^SOURCE //) { push @groups, [$line] } else { push @{$groups[-1]}, $line } }
my $number = 0; $| = 1;
for my $group (@groups) {
  my ($where, @lines) = @$group; my @enter;
  if ($where =~ m{^/}) { @enter = ("nsenter", "--net=$where") }
  elsif ($where ne "node") {
    if (!$pid{$where}) { print map { (split " ")[0] . " absent\n" } @lines; next }
    @enter = ("nsenter", "-t", $pid{$where}, "-n");
  }
  # A file, not a pipe: closing a pipe would wait for its reader, and the groups run at the same time.
  my $name = "/tmp/plimsoll-probe-$$-" . $number++;
  open(my $file, "+>", $name) or die "$name: $!"; unlink $name; print $file map { "$_\n" } @lines; close_($file);
  if (!fork) { open(STDIN, "<&", $file); exec @enter, "perl", "-e", $inner, $wait or exit 1 }
}
sub close_ { my $file = shift; my $old = select $file; $| = 1; select $old; seek $file, 0, 0 }
1 while wait != -1;
"""


class Seen(StrEnum):
    """What came of a probe."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    ABSENT = "absent"
    BROKEN = "broken"

    @property
    def arrived(self) -> bool:
        """Whether the packet came to its destination."""
        return self in (Seen.OPEN, Seen.REFUSED)


_WORDS: Final = frozenset(each.value for each in Seen)


class Probe(NamedTuple):
    """One attempt. ``source`` is a pod's uid, :data:`NODE`, or an address outside (see :func:`outside`)."""

    node: str
    source: str
    address: str
    port: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Outside:
    """An address outside of the cluster, behind a node: a network namespace of its own. ``addresses`` are its own."""

    node: str
    addresses: tuple[str, ...]


def table(probes: Sequence[Probe]) -> str:
    """The probes as the program on the node reads them."""
    groups: dict[str, list[str]] = defaultdict(list)
    for number, probe in enumerate(probes):
        outside_ = "." in probe.source
        where = f"/var/run/netns/{_SPACE}" if outside_ else probe.source
        groups[where].append(f"{number} {probe.protocol} {probe.address} {probe.port} {probe.source if outside_ else ''}".rstrip())
    return "".join(f"SOURCE {where}\n" + "".join(f"{line}\n" for line in lines) for where, lines in groups.items())


def results(text: str, probes: Sequence[Probe]) -> dict[Probe, Seen]:
    """What the program printed. A probe of which it says nothing is broken."""
    found = dict.fromkeys(probes, Seen.BROKEN)
    for line in text.splitlines():
        number, _, word = line.partition(" ")
        if number.isdecimal() and int(number) < len(probes) and word in _WORDS:
            found[probes[int(number)]] = Seen(word)
    return found


def probe(cluster: Cluster, probes: Iterable[Probe], *, wait: float = WAIT) -> dict[Probe, Seen]:
    """Try all of them, those of a node at once. Raises RunError when a node cannot be entered."""
    by_node: dict[str, list[Probe]] = defaultdict(list)
    for each in dict.fromkeys(probes):
        by_node[each.node].append(each)
    found: dict[Probe, Seen] = {}
    for node, several in by_node.items():
        said = cluster.docker("exec", "--interactive", node, "perl", "-e", _OUTER, _INNER, str(wait), stdin=table(several), timeout=60 + wait)
        found |= results(said, several)
    return found


@contextmanager
def outside(cluster: Cluster, node: str, addresses: Sequence[str]) -> Iterator[Outside]:
    """A host outside of the cluster for a moment, with these addresses besides its own; a node leads to it and no pod is in it.

    It answers every connection with a refusal, so that whatever reaches it is seen to. An interrupted run's is removed first.
    """
    own = (THERE, *addresses)
    commands = [
        f"ip netns add {_SPACE}",
        f"ip link add {_LINK} type veth peer name eth0 netns {_SPACE}",
        f"ip addr add {HERE}/30 dev {_LINK}",
        f"ip link set {_LINK} up",
        f"ip -n {_SPACE} link set lo up",
        f"ip -n {_SPACE} addr add {THERE}/30 dev eth0",
        *(f"ip -n {_SPACE} addr add {each}/32 dev eth0" for each in addresses),
        f"ip -n {_SPACE} link set eth0 up",
        f"ip -n {_SPACE} route add default via {HERE}",
        *(f"ip route replace {each}/32 via {THERE}" for each in addresses),
    ]
    _remove(cluster, node)
    try:
        cluster.docker("exec", node, "bash", "-ec", "\n".join(commands))
        yield Outside(node, own)
    finally:
        _remove(cluster, node)


def _remove(cluster: Cluster, node: str) -> None:
    """Routes go with the link."""
    try:
        cluster.docker("exec", node, "bash", "-c", f"ip link del {_LINK} 2>/dev/null; ip netns del {_SPACE} 2>/dev/null; true")
    except RunError:
        return
