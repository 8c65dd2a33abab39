//! The Cartesian configuration language.
//!
//! A configuration is text that describes, by blocks of variants, a large product of parameter sets, and filters and
//! conditions over it. This crate reads it exactly as established implementations do. It knows text and nothing of
//! files, machines or threads beyond its own: files come through a [`Loader`].
//!
//! | module | what it is for |
//! |---|---|
//! | [`symbols`] | strings as dense numbers |
//! | `lines` | text to significant lines: tabs, line ends, comments |
//! | `lexer` | tokens of a line: keywords, the assignment fast path, the character scanner |
//! | [`filter`] | filter expressions: parsing, compact tables, free-standing matching |
//! | [`parser`] | text to items, spans and diagnostics; see `GRAMMAR.md` |
//! | [`items`] | what a file says, free of positions; comments and layout do not change it |
//! | [`spans`] | where each item stands; line origins of generated files |
//! | [`program`] | includes resolved, files linked into one shared tree |
//! | `table` | lists whose beginning may be stored elsewhere |
//! | `graph` | that tree: nodes, statements, constraints, atoms |
//! | `search` | the paths that pass all filters, without entering what cannot match |
//! | [`expand`] | the stream of variants, in order, on all cores where asked |
//! | `apply` | operations along a path: operators, substitution, `suffix`, bounds |
//! | `matcher` | key patterns of `?=` and friends |
//! | `names` | name, short name, dependencies, file maps |
//! | `raw` | dictionaries with suffixed keys, on their way to be flattened or joined |
//! | [`params`] | a variant's parameters as an ordered map |
//! | [`variant`] | one variant, everything computed when asked for |
//! | [`count`] | how many variants there are, without listing them |
//! | [`provenance`] | where a value came from, why a variant is not there, nearest names |
//! | [`strict`] | what works only by a mistake of other implementations |
//! | [`lint`] | what is allowed, but hardly what its author meant |
//! | [`mod@format`] | one canonical layout that means the same |
//! | [`dump`] | the canonical dump |
//! | [`diagnostic`] | what is told to a person about a mistake |

mod apply;
pub mod count;
pub mod diagnostic;
pub mod dump;
pub mod expand;
pub mod filter;
pub mod format;
mod graph;
pub mod items;
mod lexer;
mod lines;
pub mod lint;
mod matcher;
mod names;
pub mod params;
pub mod parser;
pub mod program;
pub mod provenance;
mod raw;
mod search;
pub mod spans;
pub mod strict;
pub mod symbols;
mod table;
pub mod variant;

pub use count::Count;
pub use diagnostic::{Class, Diagnostic, Location, Severity};
pub use dump::canonical_dump;
pub use expand::{ExpandOptions, Variants};
pub use items::{Item, ItemId, Items};
pub use lexer::Operator;
pub use lines::expand_tabs;
pub use params::Params;
pub use parser::{Parsed, parse, parse_shared};
pub use program::{Loaded, Loader, Program, Sources, Unit};
pub use spans::{LineOrigin, Spans};
pub use variant::Variant;
