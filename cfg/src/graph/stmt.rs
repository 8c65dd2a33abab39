//! Statements, and how a program holds them: packed into five numbers each, so that those of a stored program are used
//! where they lie.

use super::{NodeId, Operator, TextRef};
use crate::filter::FilterId;
use crate::symbols::Sym;

/// A statement of a node's content. A condition's body follows it, up to `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stmt {
    Assign {
        operator: Operator,
        substitutes: bool,
        key: Sym,
        value: TextRef,
    },
    AssignMatching {
        operator: Operator,
        substitutes: bool,
        matcher: u32,
        value: TextRef,
    },
    Only,
    No,
    Join,
    Condition {
        filter: FilterId,
        negated: bool,
        end: u32,
    },
    Del(Sym),
    Suffix(Sym),
    /// Adds the labels of a node to the file maps.
    FileMap(NodeId),
}

/// The operators by number.
const OPERATORS: [Operator; 7] = [
    Operator::Set,
    Operator::Append,
    Operator::Prepend,
    Operator::Default,
    Operator::SetMatching,
    Operator::AppendMatching,
    Operator::PrependMatching,
];

impl Stmt {
    /// The statement as numbers; the first holds the kind, the operator and a flag in a byte each.
    pub(crate) fn pack(self) -> [u32; 5] {
        let head =
            |kind: u32, operator: Operator, flag: bool| kind | (operator as u32) << 8 | u32::from(flag) << 16;
        let plain = |kind, value| [kind, value, 0, 0, 0];
        match self {
            Stmt::Assign {
                operator,
                substitutes,
                key,
                value,
            } => [
                head(0, operator, substitutes),
                key.0,
                value.arena,
                value.start,
                value.len,
            ],
            Stmt::AssignMatching {
                operator,
                substitutes,
                matcher,
                value,
            } => [
                head(1, operator, substitutes),
                matcher,
                value.arena,
                value.start,
                value.len,
            ],
            Stmt::Condition { filter, negated, end } => {
                [head(2, Operator::Set, negated), filter.0, end, 0, 0]
            }
            Stmt::Only => plain(3, 0),
            Stmt::No => plain(4, 0),
            Stmt::Join => plain(5, 0),
            Stmt::Del(key) => plain(6, key.0),
            Stmt::Suffix(suffix) => plain(7, suffix.0),
            Stmt::FileMap(node) => plain(8, node.0),
        }
    }

    /// The statement that was packed.
    #[inline]
    pub(crate) fn unpack([head, first, second, third, fourth]: [u32; 5]) -> Self {
        let operator = || OPERATORS[(head >> 8 & 0xff) as usize];
        let flag = head >> 16 != 0;
        let value = TextRef {
            arena: second,
            start: third,
            len: fourth,
        };
        match head & 0xff {
            0 => Stmt::Assign {
                operator: operator(),
                substitutes: flag,
                key: Sym(first),
                value,
            },
            1 => Stmt::AssignMatching {
                operator: operator(),
                substitutes: flag,
                matcher: first,
                value,
            },
            2 => Stmt::Condition {
                filter: FilterId(first),
                negated: flag,
                end: second,
            },
            3 => Stmt::Only,
            4 => Stmt::No,
            5 => Stmt::Join,
            6 => Stmt::Del(Sym(first)),
            7 => Stmt::Suffix(Sym(first)),
            8 => Stmt::FileMap(NodeId(first)),
            kind => unreachable!("no statement is packed as kind {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        let value = TextRef {
            arena: TextRef::LINKED,
            start: 7,
            len: 9,
        };
        let mut all = vec![
            Stmt::Only,
            Stmt::No,
            Stmt::Join,
            Stmt::Del(Sym(3)),
            Stmt::Suffix(Sym(4)),
        ];
        all.push(Stmt::FileMap(NodeId(5)));
        for flag in [false, true] {
            let (filter, end) = (FilterId(6), 8);
            all.push(Stmt::Condition {
                filter,
                negated: flag,
                end,
            });
            for operator in OPERATORS {
                let (substitutes, key, matcher) = (flag, Sym(1), 2);
                all.push(Stmt::Assign {
                    operator,
                    substitutes,
                    key,
                    value,
                });
                all.push(Stmt::AssignMatching {
                    operator,
                    substitutes,
                    matcher,
                    value,
                });
            }
        }
        for stmt in all {
            assert_eq!(Stmt::unpack(stmt.pack()), stmt);
        }
    }
}
