//! The words that the lexer tells from names. Most of the grammar looks at words where it expects
//! them; the table is for what must be known everywhere: which words cannot be names, which
//! functions are aggregates, and what a statement begins with.

macro_rules! keywords {
    (reserved: $($reserved:ident $reserved_text:literal),* ; free: $($free:ident $free_text:literal),* $(;)?) => {
        /// A word of the table.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[allow(missing_docs)]
        pub enum Keyword {
            /// No word of the table.
            #[default]
            None,
            $($reserved,)*
            $($free,)*
        }

        /// Every word with its text, in upper case.
        const WORDS: &[(Keyword, &[u8])] = &[
            $((Keyword::$reserved, $reserved_text),)*
            $((Keyword::$free, $free_text),)*
        ];

        /// How many words of the table cannot be names without quotes; they come first.
        const RESERVED_COUNT: usize = [$($reserved_text as &[u8]),*].len();
    };
}

keywords! {
    reserved:
        Accessible b"ACCESSIBLE", Add b"ADD", All b"ALL", Alter b"ALTER", Analyze b"ANALYZE",
        And b"AND", As b"AS", Asc b"ASC", Asensitive b"ASENSITIVE", Before b"BEFORE",
        Between b"BETWEEN", Bigint b"BIGINT", Binary b"BINARY", Blob b"BLOB", Both b"BOTH",
        By b"BY", Call b"CALL", Cascade b"CASCADE", Case b"CASE", Change b"CHANGE", Char b"CHAR",
        Character b"CHARACTER", Check b"CHECK", Collate b"COLLATE", Column b"COLUMN",
        Condition b"CONDITION", Constraint b"CONSTRAINT", Continue b"CONTINUE",
        Convert b"CONVERT", Create b"CREATE", Cross b"CROSS", CurrentDate b"CURRENT_DATE",
        CurrentTime b"CURRENT_TIME", CurrentTimestamp b"CURRENT_TIMESTAMP",
        CurrentUser b"CURRENT_USER", Cursor b"CURSOR", Database b"DATABASE",
        Databases b"DATABASES", DayHour b"DAY_HOUR", DayMicrosecond b"DAY_MICROSECOND",
        DayMinute b"DAY_MINUTE", DaySecond b"DAY_SECOND", Dec b"DEC", Decimal b"DECIMAL",
        Declare b"DECLARE", Default b"DEFAULT", Delayed b"DELAYED", Delete b"DELETE",
        Desc b"DESC", Describe b"DESCRIBE", Deterministic b"DETERMINISTIC", Distinct b"DISTINCT",
        Distinctrow b"DISTINCTROW", Div b"DIV", Double b"DOUBLE", Drop b"DROP", Dual b"DUAL",
        Each b"EACH", Else b"ELSE", Elseif b"ELSEIF", Enclosed b"ENCLOSED", Escaped b"ESCAPED",
        Except b"EXCEPT", Exists b"EXISTS", Exit b"EXIT", Explain b"EXPLAIN", False b"FALSE",
        Fetch b"FETCH", Float b"FLOAT", Float4 b"FLOAT4", Float8 b"FLOAT8", For b"FOR",
        Force b"FORCE", Foreign b"FOREIGN", From b"FROM", Fulltext b"FULLTEXT", Grant b"GRANT",
        Group b"GROUP", Having b"HAVING", HighPriority b"HIGH_PRIORITY",
        HourMicrosecond b"HOUR_MICROSECOND", HourMinute b"HOUR_MINUTE", HourSecond b"HOUR_SECOND",
        If b"IF", Ignore b"IGNORE", In b"IN", Index b"INDEX", Infile b"INFILE", Inner b"INNER",
        Inout b"INOUT", Insensitive b"INSENSITIVE", Insert b"INSERT", Int b"INT", Int1 b"INT1",
        Int2 b"INT2", Int3 b"INT3", Int4 b"INT4", Int8 b"INT8", Integer b"INTEGER",
        Intersect b"INTERSECT", Interval b"INTERVAL", Into b"INTO", Is b"IS", Iterate b"ITERATE",
        Join b"JOIN", Key b"KEY", Keys b"KEYS", Kill b"KILL", Leading b"LEADING", Leave b"LEAVE",
        Left b"LEFT", Like b"LIKE", Limit b"LIMIT", Linear b"LINEAR", Lines b"LINES",
        Load b"LOAD", Localtime b"LOCALTIME", Localtimestamp b"LOCALTIMESTAMP", Lock b"LOCK",
        Long b"LONG", Longblob b"LONGBLOB", Longtext b"LONGTEXT", Loop b"LOOP",
        LowPriority b"LOW_PRIORITY", Match b"MATCH", Maxvalue b"MAXVALUE",
        Mediumblob b"MEDIUMBLOB", Mediumint b"MEDIUMINT", Mediumtext b"MEDIUMTEXT",
        Middleint b"MIDDLEINT", MinuteMicrosecond b"MINUTE_MICROSECOND",
        MinuteSecond b"MINUTE_SECOND", Mod b"MOD", Modifies b"MODIFIES", Natural b"NATURAL",
        Not b"NOT", NoWriteToBinlog b"NO_WRITE_TO_BINLOG", Null b"NULL", Numeric b"NUMERIC",
        On b"ON", Optimize b"OPTIMIZE", Optionally b"OPTIONALLY", Or b"OR",
        Order b"ORDER", Out b"OUT", Outer b"OUTER", Outfile b"OUTFILE", Over b"OVER",
        Partition b"PARTITION", Precision b"PRECISION", Primary b"PRIMARY",
        Procedure b"PROCEDURE", Purge b"PURGE", Range b"RANGE", Read b"READ", Reads b"READS",
        ReadWrite b"READ_WRITE", Real b"REAL", Recursive b"RECURSIVE", References b"REFERENCES",
        Regexp b"REGEXP", Release b"RELEASE", Rename b"RENAME", Repeat b"REPEAT",
        Replace b"REPLACE", Require b"REQUIRE", Resignal b"RESIGNAL", Restrict b"RESTRICT",
        Return b"RETURN", Returning b"RETURNING", Revoke b"REVOKE", Right b"RIGHT",
        Rlike b"RLIKE", Rows b"ROWS", Schema b"SCHEMA", Schemas b"SCHEMAS",
        SecondMicrosecond b"SECOND_MICROSECOND", Select b"SELECT", Sensitive b"SENSITIVE",
        Separator b"SEPARATOR", Set b"SET", Show b"SHOW", Signal b"SIGNAL", Smallint b"SMALLINT",
        Spatial b"SPATIAL", Specific b"SPECIFIC", Sql b"SQL", Sqlexception b"SQLEXCEPTION",
        Sqlstate b"SQLSTATE", Sqlwarning b"SQLWARNING", SqlBigResult b"SQL_BIG_RESULT",
        SqlCalcFoundRows b"SQL_CALC_FOUND_ROWS", SqlSmallResult b"SQL_SMALL_RESULT", Ssl b"SSL",
        Starting b"STARTING", StraightJoin b"STRAIGHT_JOIN", Table b"TABLE",
        Terminated b"TERMINATED", Then b"THEN", Tinyblob b"TINYBLOB", Tinyint b"TINYINT",
        Tinytext b"TINYTEXT", To b"TO", Trailing b"TRAILING", Trigger b"TRIGGER", True b"TRUE",
        Undo b"UNDO", Union b"UNION", Unique b"UNIQUE", Unlock b"UNLOCK", Unsigned b"UNSIGNED",
        Update b"UPDATE", Usage b"USAGE", Use b"USE", Using b"USING", UtcDate b"UTC_DATE",
        UtcTime b"UTC_TIME", UtcTimestamp b"UTC_TIMESTAMP", Values b"VALUES",
        Varbinary b"VARBINARY", Varchar b"VARCHAR", Varcharacter b"VARCHARACTER",
        Varying b"VARYING", When b"WHEN", Where b"WHERE", While b"WHILE", With b"WITH",
        Write b"WRITE", Xor b"XOR", YearMonth b"YEAR_MONTH", Zerofill b"ZEROFILL";
    free:
        Option b"OPTION", Begin b"BEGIN", End b"END", Function b"FUNCTION", Event b"EVENT", Package b"PACKAGE",
        Commit b"COMMIT", Rollback b"ROLLBACK", Start b"START", Savepoint b"SAVEPOINT", Xa b"XA",
        Truncate b"TRUNCATE", Do b"DO", Handler b"HANDLER", Prepare b"PREPARE",
        Execute b"EXECUTE", Deallocate b"DEALLOCATE", Flush b"FLUSH", Reset b"RESET",
        Count b"COUNT", Sum b"SUM", Min b"MIN", Max b"MAX", Avg b"AVG", BitAnd b"BIT_AND",
        BitOr b"BIT_OR", BitXor b"BIT_XOR", GroupConcat b"GROUP_CONCAT",
        JsonArrayagg b"JSON_ARRAYAGG", JsonObjectagg b"JSON_OBJECTAGG", Std b"STD",
        Stddev b"STDDEV", StddevPop b"STDDEV_POP", StddevSamp b"STDDEV_SAMP",
        Variance b"VARIANCE", VarPop b"VAR_POP", VarSamp b"VAR_SAMP", AnyValue b"ANY_VALUE",
        StCollect b"ST_COLLECT";
}

impl Keyword {
    /// The word in upper case.
    #[must_use]
    pub fn text(self) -> &'static [u8] {
        match self as usize {
            0 => b"",
            at => WORDS[at - 1].1,
        }
    }

    /// It cannot be a name without quotes.
    #[must_use]
    pub fn is_reserved(self) -> bool {
        (1..=RESERVED_COUNT).contains(&(self as usize))
    }

    /// It is an aggregate function's name.
    #[must_use]
    pub fn is_aggregate(self) -> bool {
        use Keyword as K;
        matches!(
            self,
            K::Count
                | K::Sum
                | K::Min
                | K::Max
                | K::Avg
                | K::BitAnd
                | K::BitOr
                | K::BitXor
                | K::GroupConcat
                | K::JsonArrayagg
                | K::JsonObjectagg
                | K::Std
                | K::Stddev
                | K::StddevPop
                | K::StddevSamp
                | K::Variance
                | K::VarPop
                | K::VarSamp
                | K::StCollect
        )
    }
}

/// Slots of the table below: a power of two well above the number of words.
const SLOTS: usize = 1024;

/// Open addressing over a hash of the upper-cased word, filled at compile time.
static TABLE: [u16; SLOTS] = build();

/// Of a word's first and last bytes, without what tells cases apart, and of its length.
const fn hash(word: &[u8]) -> usize {
    const UPPER: u64 = 0xDFDF_DFDF_DFDF_DFDF;
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let (first, last) = match (word.first_chunk::<8>(), word.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (word.first_chunk::<4>(), word.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64)
            }
            _ => match word {
                [] => (0, 0),
                [one] => (*one as u64, 0),
                [one, two] => (*one as u64, *two as u64),
                [one, two, three, ..] => ((*one as u64) << 8 | *two as u64, *three as u64),
            },
        },
    };
    let both = (first & UPPER) ^ (last & UPPER).rotate_left(29) ^ word.len() as u64;
    (both.wrapping_mul(FACTOR) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

const fn build() -> [u16; SLOTS] {
    let mut table = [0; SLOTS];
    let mut at = 0;
    while at < WORDS.len() {
        let mut slot = hash(WORDS[at].1);
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = at as u16 + 1;
        at += 1;
    }
    table
}

/// The longest word of the table.
const LONGEST: usize = 24;

/// The keyword that `word` is, in any case.
#[must_use]
pub fn lookup(word: &[u8]) -> Keyword {
    if word.len() > LONGEST {
        return Keyword::None;
    }
    let mut slot = hash(word);
    loop {
        match TABLE[slot] {
            0 => return Keyword::None,
            at => {
                let (keyword, text) = WORDS[usize::from(at) - 1];
                if text.eq_ignore_ascii_case(word) {
                    return keyword;
                }
            }
        }
        slot = (slot + 1) % SLOTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        for (at, (keyword, text)) in WORDS.iter().enumerate() {
            assert_eq!(*keyword as usize, at + 1);
            assert!(text.len() <= LONGEST);
            assert_eq!(lookup(text), *keyword);
            assert_eq!(lookup(&text.to_ascii_lowercase()), *keyword);
            assert_eq!(keyword.text(), *text);
        }
        for other in [&b"tb_orders"[..], b"", b"SELECTS", b"selec", b"x"] {
            assert_eq!(lookup(other), Keyword::None);
        }
        assert!(Keyword::Select.is_reserved());
        assert!(!Keyword::Begin.is_reserved());
        assert!(!Keyword::None.is_reserved());
        assert!(Keyword::Count.is_aggregate());
    }
}
