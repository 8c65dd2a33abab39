//! Which ports of the host QEMU took for a guest.

/// One forwarded port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) nic: String,
    pub(super) guest: u16,
    pub(super) host: u16,
}

/// Reads what the human monitor prints for `info usernet`:
///
/// ```text
/// Hub -1 (net-nic1):
///   Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
///   TCP[HOST_FORWARD]   9       127.0.0.1 34519       10.0.2.15    22     0     0
/// ```
pub(super) fn parse(report: &str) -> Vec<Forward> {
    let mut nic = String::new();
    let mut found = Vec::new();
    for line in report.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(name) = line
            .split_once("(net-")
            .and_then(|(_, rest)| rest.split_once(')'))
        {
            nic = name.0.to_owned();
        } else if let ["TCP[HOST_FORWARD]", _, _, host, _, guest, ..] = words.as_slice()
            && let (Ok(host), Ok(guest)) = (host.parse(), guest.parse())
        {
            found.push(Forward {
                nic: nic.clone(),
                guest,
                host,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cards_are_told_apart() {
        let report = "Hub -1 (net-nic1):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
            TCP[HOST_FORWARD]   9       127.0.0.1 34519       10.0.2.15    22     0     0\r\n  \
            TCP[ESTABLISHED]   19       127.0.0.1 34519       10.0.2.15    22     0     0\r\n\
            Hub -1 (net-nic2):\r\n  TCP[HOST_FORWARD]  10       127.0.0.1 40001       10.0.2.15    22     0     0\r\n";
        let found: Vec<_> = parse(report)
            .into_iter()
            .map(|forward| (forward.nic, forward.guest, forward.host))
            .collect();
        assert_eq!(
            found,
            [("nic1".to_owned(), 22, 34519), ("nic2".to_owned(), 22, 40001)]
        );
    }
}
