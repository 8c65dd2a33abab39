# A login shell on a pseudo-terminal, at the other end of a connection that it makes to HOST and PORT. Runs in a guest.
# Joined to one line and put between single quotes: no single quote, and comments have lines of their own.
use strict;
use Socket;
use Fcntl;
use POSIX ();
my ($host, $port) = @ARGV;
# clock_settime, by machine.
my %calls = (x86_64 => 227, aarch64 => 112);
my $settime = $calls{(POSIX::uname())[4]} or exit 3;
socket(my $net, PF_INET, SOCK_STREAM, 0) or exit 4;
connect($net, sockaddr_in($port, inet_aton($host))) or exit 4;
# TCP_NODELAY
setsockopt($net, 6, 1, 1);
open(my $random, "+<", "/dev/urandom") or exit 5;
sysopen(my $pty, "/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK) or exit 5;
# TIOCGPTN, TIOCSPTLCK
my $number = pack("i", 0);
ioctl($pty, 0x80045430, $number) or exit 5;
my $unlocked = pack("i", 0);
ioctl($pty, 0x40045431, $unlocked) or exit 5;
my $tty = "/dev/pts/" . unpack("i", $number);
my $pid = fork;
exit(defined $pid ? 0 : 6) if $pid || !defined $pid;
POSIX::setsid();
my $shell = fork;
exit 6 if !defined $shell;
if (!$shell) {
    POSIX::setsid();
    # The first terminal that the leader of a session opens is its own.
    sysopen(my $own, $tty, O_RDWR) or exit 5;
    # TIOCSWINSZ
    my $size = pack("S4", 2000, 8192, 0, 0);
    ioctl($own, 0x5414, $size);
    POSIX::dup2(fileno($own), $_) for 0 .. 2;
    my $program = (getpwuid($<))[8] || "/bin/sh";
    # A shell cannot trap what was ignored when it began.
    $SIG{HUP} = "DEFAULT";
    $ENV{TERM} = "dumb";
    $ENV{SSH_TTY} = $tty;
    delete $ENV{SHLVL};
    chdir($ENV{HOME} || "/");
    exec { $program } "-" . ($program =~ m{([^/]+)$})[0];
    exit 127;
}
$0 = "standing shell";
chdir("/");
open(STDIN, "<", "/dev/null");
open(STDOUT, ">", "/dev/null");
open(STDERR, ">", "/dev/null");
# A kind, a length, and so many bytes.
sub send_frame {
    my ($kind, $bytes) = @_;
    my $frame = pack("an/a*", $kind, $bytes);
    while (length $frame) {
        my $sent = syswrite($net, $frame);
        POSIX::_exit(0) if !defined $sent;
        substr($frame, 0, $sent, "");
    }
}
$SIG{TERM} = sub { send_frame("E", ""); POSIX::_exit(0) };
$SIG{PIPE} = "IGNORE";
my ($said, $typed) = ("", "");
while (1) {
    my ($read, $write) = ("", "");
    vec($read, fileno($net), 1) = 1;
    vec($read, fileno($pty), 1) = 1;
    vec($write, fileno($pty), 1) = 1 if length $typed;
    select($read, $write, undef, undef) > 0 or next;
    if (vec($read, fileno($pty), 1)) {
        my $count = sysread($pty, my $bytes, 16384);
        # EIO: nobody has the terminal open any more.
        last if defined $count ? !$count : $! != POSIX::EAGAIN();
        send_frame("D", $bytes) if $count;
    }
    if (vec($write, fileno($pty), 1)) {
        my $count = syswrite($pty, $typed);
        substr($typed, 0, $count, "") if $count;
    }
    next if !vec($read, fileno($net), 1);
    sysread($net, $said, 65536, length $said) or POSIX::_exit(0);
    while (length $said >= 3) {
        my ($kind, $length) = unpack("an", $said);
        last if length $said < 3 + $length;
        my $bytes = substr($said, 3, $length);
        substr($said, 0, 3 + $length, "");
        if ($kind eq "D") {
            $typed .= $bytes;
        }
        elsif ($kind eq "G") {
            # Seconds, nanoseconds, entropy; RNDRESEEDCRNG has it used at once.
            my ($seconds, $nanos, $entropy) = unpack("qqa*", $bytes);
            my $set = syscall($settime, 0, pack("qq", $seconds, $nanos)) == 0;
            my $mixed = length $entropy == syswrite($random, $entropy);
            ioctl($random, 0x5207, 0);
            send_frame("G", $set && $mixed ? "done" : "$!");
        }
        else {
            # What the end of a connection means to a shell: SIGHUP.
            close($pty);
            POSIX::_exit(0);
        }
    }
}
waitpid($shell, 0);
send_frame("E", $? & 127 ? "" : $? >> 8);
POSIX::_exit(0);
