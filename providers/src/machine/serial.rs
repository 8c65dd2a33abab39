//! Serial ports of a running machine, from outside.

use camino::Utf8PathBuf;

/// One serial port. Connect to the socket to read and type; everything that the guest ever printed is in the log, whether
/// anybody was connected or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialPort {
    /// The name of the object in `serials`.
    pub name: String,
    /// A unix stream socket. One connection at a time.
    pub socket: Utf8PathBuf,
    /// The file that QEMU appends the guest's output to.
    pub log: Utf8PathBuf,
}
