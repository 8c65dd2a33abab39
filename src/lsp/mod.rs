//! `vtbuild lsp`: a language server for configuration files, over standard input and output.
//!
//! | module | what it is for |
//! |---|---|
//! | `text` | positions of the protocol and of the language |
//! | `scan` | the names on a line, well-formed or not |
//! | `settings` | the names of variants in `vtbuild.toml` |
//! | `document` | a file: its text, names, tree of variants |
//! | `files` | files in the editor before those on disk |
//! | `world` | which configuration a file belongs to, and how a run reads it |
//! | `check` | mistakes |
//! | `advice` | what is allowed, but hardly meant; what a strict reading refuses |
//! | `navigate` | definitions, references, renaming |
//! | `hover` | values and where they come from |
//! | `complete`, `symbols` | completion, outline |
//! | `capabilities` | what server and client say that they can do |
//! | `server` | the protocol: who may ask what when |
//!
//! Everything happens on one thread, in the order in which it was asked for. Only the searches for values and for
//! advice, which may take long, have threads of their own, and nobody waits for them longer than a moment.

mod advice;
mod capabilities;
mod check;
mod complete;
mod document;
mod files;
mod hover;
mod navigate;
mod scan;
mod server;
mod settings;
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
