//! The rules: how a variant becomes actions, and how each action is carried out over the providers.
//!
//! | module | rule |
//! |---|---|
//! | [`deps`] | programs that a test needs, built from sources beside it, in a guest or on a host |
//! | [`download`] | a file from outside, as long as it is missing |
//! | [`image`] | a guest image, built from a recipe |
//! | [`python_env`] | the Python packages beneath our own test host, from PyPI |
//! | [`state`] | a guest that is up, for tests to begin from |
//! | [`mod@test`] | a test: its machines on throw-away overlays, its Python in a host process, its verdict |

mod asked;
pub mod deps;
pub mod download;
pub mod image;
pub mod python_env;
pub mod state;
mod steps;
pub mod test;
mod tree;
