//! Filter expressions: `,` or a blank is OR, `..` is AND, `.` is immediately-followed-by.
//!
//! [`FilterTable`] is the compact form that items and programs store; [`Filter`] is a free-standing one for callers.

mod expression;
mod parse;
mod table;

pub use expression::{Filter, FilterSyntaxError, Label, Pattern};
pub(crate) use parse::{FilterError, parse_tokens};
pub use table::{Expression, FilterId, FilterTable};
