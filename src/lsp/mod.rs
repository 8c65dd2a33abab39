//! `vtbuild lsp`: a language server for configuration files, over standard input and output.
//!
//! | module | what it is for |
//! |---|---|
//! | `text` | positions of the protocol and of the language |
//! | `scan` | the names on a line, well-formed or not |
//! | `document` | a file: its text, names, tree of variants |
//! | `files` | files in the editor before those on disk |
//! | `world` | the workspace's virtual configuration set, and linking in it |
//! | `check` | diagnostics |
//! | `navigate` | definitions, references, renaming |
//! | `hover` | values and where they come from |
//! | `complete`, `symbols` | completion, outline |
//! | `server` | the protocol: who may ask what when |
//!
//! Everything happens on one thread, in the order in which it was asked for. Only the search for values, which may take
//! long, has a thread of its own, and nobody waits for it longer than a moment.

mod check;
mod complete;
mod document;
mod files;
mod hover;
mod navigate;
mod scan;
mod server;
mod symbols;
mod text;
mod uri;
mod world;

use lsp_server::Connection;

use crate::cli::LspArgs;
use crate::exit::{Exit, Failure};

/// Serves one client until it says `exit`, or goes away.
pub fn serve(args: &LspArgs) -> Result<Exit, Failure> {
    let (connection, threads) = Connection::stdio();
    let exit = server::Server::new(&connection, &args.place).run();
    // The threads end when the channel to them does.
    drop(connection);
    match threads.join() {
        Ok(()) => Ok(exit),
        Err(error) => Err(Failure::environment(format!(
            "failed to talk to the editor: {error}"
        ))),
    }
}
