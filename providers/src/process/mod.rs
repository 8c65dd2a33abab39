//! Processes that cannot outlive us.
//!
//! Between vtbuild and every child stands a *guard*: a small process of our own that shares one socket with us.
//!
//! ```text
//! vtbuild ---- link (socket pair) ---- guard ---- command ---- whatever the command starts
//! ```
//!
//! - **We end the child** by closing our half of the link; **we die** (SIGKILL included) and the kernel closes it for us.
//!   The guard sees the same end of file in both cases, so there is one way to die and it is exercised all the time.
//! - The guard is a child subreaper: a process whose parent ended becomes the guard's own child, so nothing can leave its
//!   descent by forking twice or by starting a session of its own.
//! - The guard leads its own session: Ctrl-C on our terminal reaches us and not the children.
//! - The command dies with the guard (`PDEATHSIG`), should somebody kill the guard itself.
//! - A child holds no descriptor but the three standard ones and those it was given on purpose.
//!
//! A guard without a command is a [`Janitor`]: it removes a scratch folder when we are gone, or puts back what was changed on
//! the host ([`Duties`]).
//!
//! A command that takes long to load can be a [`ForkServer`], a process that loads once and then forks. Between it and every
//! process that it forks stands a guard like any other:
//!
//! ```text
//! vtbuild ---- link ---- guard ---- fork server
//!    |                                  | forks
//!    +-------- link -------------- guard ---- command ---- whatever the command starts
//! ```

mod child;
mod command;
mod descent;
mod duties;
mod fork_server;
pub mod guard;
mod janitor;
mod launcher;
mod limits;
mod output;
mod remove;

pub use child::{Child, Exit};
pub use command::{Command, Stream};
pub use duties::Duties;
pub use fork_server::ForkServer;
pub use janitor::Janitor;
pub use launcher::{Launcher, SpawnError};
pub use limits::Limits;
pub use output::{Output, OutputError};
