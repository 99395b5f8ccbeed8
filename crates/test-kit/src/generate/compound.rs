//! Operators and functions that make a value of a wanted type.

use super::scalar::{Expr, Generator, Scope};
use super::tree::{Node, Sort, Spelling};
use crate::node;

const GENERAL: Sort = Sort::Text(Spelling::General);

impl Generator {
    /// An operator or a function over smaller expressions.
    pub fn compound(&mut self, sort: Sort, depth: usize, scope: &Scope) -> Expr {
        match sort {
            Sort::Int => whole(self.int_compound(depth - 1, scope)),
            Sort::Decimal => whole(self.decimal_compound(depth - 1, scope)),
            Sort::Double => whole(self.double_compound(depth - 1, scope)),
            Sort::Date => whole(self.date_compound(depth - 1, scope)),
            Sort::Moment => whole(self.moment_compound(depth - 1, scope)),
            Sort::Time => whole(self.time_compound(depth - 1, scope)),
            Sort::Text(Spelling::General) => {
                let node = self.text_compound(depth - 1, scope);
                Expr { node, single: false }
            }
            Sort::Text(Spelling::Forced) => {
                let inner = self.text_compound(depth - 1, scope);
                whole(node!(sort; "(", inner, " COLLATE utf8mb4_bin)"))
            }
            Sort::Text(Spelling::Unicode | Spelling::Binary) => {
                let inner = self.leaf(sort, scope, false).node;
                let node = match self.choice.below(4) {
                    0 => node!(sort; "CONCAT(", inner, ", '-')"),
                    1 => node!(sort; "UPPER(", inner, ")"),
                    2 => node!(sort; "LEFT(", inner, ", 2)"),
                    _ => node!(sort; "REVERSE(", inner, ")"),
                };
                Expr { node, single: sort == Sort::Text(Spelling::Binary) }
            }
            other => self.leaf(other, scope, false),
        }
    }

    fn calm(&mut self, sort: Sort, depth: usize, scope: &Scope) -> Node {
        self.expr(sort, depth, scope, true).node
    }

    fn any_text(&mut self, depth: usize, scope: &Scope) -> Node {
        let sort = *self.choice.of(&[GENERAL, GENERAL, Sort::Text(Spelling::Forced)]);
        self.expr(sort, depth, scope, false).node
    }

    fn int_compound(&mut self, d: usize, s: &Scope) -> Node {
        const I: Sort = Sort::Int;
        let small = self.choice.between(2, 7);
        match self.choice.below(26) {
            0 | 1 => node!(I; "(", self.calm(I, d, s), " + ", self.calm(I, d, s), ")"),
            2 | 3 => node!(I; "(", self.calm(I, d, s), " - ", self.calm(I, d, s), ")"),
            4 => node!(I; "(", self.calm(I, d, s), " % 100 * ", small.to_string(), ")"),
            5 => node!(I; "(", self.calm(I, d, s), " % ", small.to_string(), ")"),
            6 => node!(I; "(", self.calm(I, d, s), " DIV ", small.to_string(), ")"),
            7 => node!(I; "ABS(", self.calm(I, d, s), ")"),
            8 => node!(I; "SIGN(", self.calm(Sort::Decimal, d, s), ")"),
            9 => node!(I; "CHAR_LENGTH(", self.any_text(d, s), ")"),
            10 => node!(I; "LENGTH(", self.any_text(d, s), ")"),
            11 => node!(I; "YEAR(", self.calm(Sort::Date, d, s), ")"),
            12 => node!(I; "MONTH(", self.calm(Sort::Moment, d, s), ")"),
            13 => {
                node!(I; "DATEDIFF(", self.calm(Sort::Date, d, s), ", ", self.calm(Sort::Date, d, s), ")")
            }
            14 => node!(I; "GREATEST(", self.calm(I, d, s), ", ", self.calm(I, d, s), ")"),
            15 => node!(I; "LEAST(", self.calm(I, d, s), ", ", self.calm(I, d, s), ")"),
            16 => node!(I; "CAST(", self.calm(I, d, s), " & 15 AS SIGNED)"),
            17 => node!(I; "INSTR(", self.any_text(d, s), ", 'e')"),
            18 => node!(I; "FIELD(", self.calm(I, d, s), ", 1, 2, 3)"),
            19 => node!(I; "(", self.truth(d, s), ")"),
            20 => node!(I; "DAYOFWEEK(", self.calm(Sort::Date, d, s), ")"),
            21 => {
                node!(I; "TIMESTAMPDIFF(MONTH, ", self.calm(Sort::Date, d, s), ", ", self.calm(Sort::Date, d, s), ")")
            }
            22 => node!(I; "BIT_COUNT(", self.calm(I, d, s), ")"),
            23 => node!(I; "CAST(", self.calm(Sort::Decimal, d, s), " AS SIGNED)"),
            24 => {
                node!(I; "JSON_LENGTH(JSON_ARRAY(", self.calm(I, d, s), ", ", self.any_text(d, s), "))")
            }
            _ => {
                node!(I; "CAST(JSON_VALUE(JSON_OBJECT('k', ", self.calm(I, d, s), "), '$.k') AS SIGNED)")
            }
        }
    }

    fn decimal_compound(&mut self, d: usize, s: &Scope) -> Node {
        const D: Sort = Sort::Decimal;
        match self.choice.below(11) {
            0 | 1 => node!(D; "(", self.calm(D, d, s), " + ", self.calm(D, d, s), ")"),
            2 => node!(D; "(", self.calm(D, d, s), " - ", self.calm(D, d, s), ")"),
            3 => node!(D; "(", self.calm(D, d, s), " % 7)"),
            4 => node!(D; "ROUND(", self.calm(D, d, s), ", 1)"),
            5 => node!(D; "TRUNCATE(", self.calm(D, d, s), ", 1)"),
            6 => node!(D; "CAST(", self.calm(Sort::Int, d, s), " AS DECIMAL(12,2))"),
            7 => {
                node!(D; "(", self.calm(Sort::Int, d, s), " / NULLIF(", self.calm(Sort::Int, d, s), ", 0))")
            }
            8 => node!(D; "ABS(", self.calm(D, d, s), ")"),
            9 => node!(D; "GREATEST(", self.calm(D, d, s), ", ", self.calm(D, d, s), ")"),
            _ => node!(D; "(", self.calm(D, d, s), " * 1.5)"),
        }
    }

    fn double_compound(&mut self, d: usize, s: &Scope) -> Node {
        const F: Sort = Sort::Double;
        match self.choice.below(5) {
            0 => node!(F; "(", self.calm(F, d, s), " + ", self.calm(F, d, s), ")"),
            1 => node!(F; "SQRT(ABS(", self.calm(Sort::Int, d, s), "))"),
            2 => node!(F; "(", self.calm(F, d, s), " * 0.5e0)"),
            3 => node!(F; "LN(1 + ABS(", self.calm(F, d, s), "))"),
            _ => node!(F; "CAST(", self.calm(Sort::Decimal, d, s), " AS DOUBLE)"),
        }
    }

    fn date_compound(&mut self, d: usize, s: &Scope) -> Node {
        const T: Sort = Sort::Date;
        let step = self.choice.between(-3, 40).to_string();
        let unit = *self.choice.of(&[" DAY)", " MONTH)", " YEAR)", " WEEK)"]);
        match self.choice.below(6) {
            0 => node!(T; "(", self.calm(T, d, s), " + INTERVAL ", step, unit),
            1 => node!(T; "DATE_SUB(", self.calm(T, d, s), ", INTERVAL ", step, unit),
            2 => node!(T; "LAST_DAY(", self.calm(T, d, s), ")"),
            3 => node!(T; "DATE(", self.calm(Sort::Moment, d, s), ")"),
            4 => node!(T; "MAKEDATE(2000, 1 + ABS(", self.calm(Sort::Int, d, s), ") % 300)"),
            _ => node!(T; "CAST(", self.calm(Sort::Moment, d, s), " AS DATE)"),
        }
    }

    fn moment_compound(&mut self, d: usize, s: &Scope) -> Node {
        const M: Sort = Sort::Moment;
        match self.choice.below(4) {
            0 => node!(M; "(", self.calm(M, d, s), " + INTERVAL 36 HOUR)"),
            1 => node!(M; "CAST(", self.calm(Sort::Date, d, s), " AS DATETIME)"),
            2 => node!(M; "TIMESTAMP(", self.calm(Sort::Date, d, s), ")"),
            _ => node!(M; "DATE_ADD(", self.calm(M, d, s), ", INTERVAL 1 MONTH)"),
        }
    }

    fn time_compound(&mut self, d: usize, s: &Scope) -> Node {
        const H: Sort = Sort::Time;
        match self.choice.below(3) {
            0 => node!(H; "TIME(", self.calm(Sort::Moment, d, s), ")"),
            1 => node!(H; "SEC_TO_TIME(", self.calm(Sort::Int, d, s), " % 1000)"),
            _ => node!(H; "MAKETIME(ABS(", self.calm(Sort::Int, d, s), ") % 20, 30, 5)"),
        }
    }

    fn text_compound(&mut self, d: usize, s: &Scope) -> Node {
        const T: Sort = GENERAL;
        match self.choice.below(22) {
            0 | 1 => node!(T; "CONCAT(", self.calm(T, d, s), ", ", self.calm(T, d, s), ")"),
            2 => {
                node!(T; "CONCAT_WS('/', ", self.calm(T, d, s), ", ", self.calm(Sort::Int, d, s), ")")
            }
            3 => node!(T; "UPPER(", self.calm(T, d, s), ")"),
            4 => node!(T; "LOWER(", self.calm(T, d, s), ")"),
            5 => node!(T; "SUBSTRING(", self.calm(T, d, s), ", 2, 3)"),
            6 => node!(T; "LEFT(", self.calm(T, d, s), ", 3)"),
            7 => node!(T; "RIGHT(", self.calm(T, d, s), ", 2)"),
            8 => node!(T; "REPLACE(", self.calm(T, d, s), ", 'a', '+')"),
            9 => node!(T; "LPAD(", self.calm(T, d, s), ", 6, '.')"),
            10 => node!(T; "REVERSE(", self.calm(T, d, s), ")"),
            11 => node!(T; "CAST(", self.calm(Sort::Int, d, s), " AS CHAR)"),
            12 => node!(T; "CAST(", self.calm(Sort::Decimal, d, s), " AS CHAR)"),
            13 => node!(T; "CAST(", self.calm(Sort::Date, d, s), " AS CHAR)"),
            14 => node!(T; "DATE_FORMAT(", self.calm(Sort::Moment, d, s), ", '%Y-%m/%a')"),
            15 => node!(T; "HEX(", self.any_text(d, s), ")"),
            16 => node!(T; "MD5(", self.any_text(d, s), ")"),
            17 => {
                node!(T; "ELT(1 + ABS(", self.calm(Sort::Int, d, s), ") % 3, 'a', ", self.calm(T, d, s), ", 'c')")
            }
            18 => node!(T; "SUBSTRING_INDEX(", self.calm(T, d, s), ", 'e', 1)"),
            19 => {
                node!(T; "JSON_UNQUOTE(JSON_EXTRACT(JSON_OBJECT('k', ", self.calm(T, d, s), "), '$.k'))")
            }
            20 => node!(T; "TRIM(CONCAT(' ', ", self.calm(T, d, s), "))"),
            _ => node!(T; "CONV(", self.calm(Sort::Int, d, s), ", 10, 16)"),
        }
    }
}

fn whole(node: Node) -> Expr {
    Expr { node, single: true }
}
