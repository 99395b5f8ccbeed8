//! The counts of an INSERT that ran in parts: `Records: 5  Duplicates: 2  Warnings: 0` of the whole.
//! A server tells them for several rows only, so those of a single row come from what it changed.

use mysql_wire::packet::OkPacket;
use sql_plan::scratch_write::InsertVerb;

/// One part's answer.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// What the data node said.
    pub ok: &'a OkPacket,
    /// How many rows it was given.
    pub rows: u64,
}

impl Counted<'_> {
    /// How many rows were there already.
    fn duplicates(&self, verb: InsertVerb, updates: bool) -> u64 {
        if let Some(told) = number_after(&self.ok.info, "Duplicates:") {
            return told;
        }
        let affected = self.ok.affected_rows;
        match verb {
            InsertVerb::Ignore if updates && affected == 2 => 1,
            InsertVerb::Ignore => self.rows.saturating_sub(affected),
            InsertVerb::Replace => affected.saturating_sub(self.rows),
            InsertVerb::Insert => u64::from(updates && affected == 2),
        }
    }
}

/// Whether every row was there already and was changed; `updates` as for [`total`].
pub fn only_updated(parts: &[Counted<'_>], verb: InsertVerb, updates: bool) -> bool {
    updates && parts.iter().all(|part| part.duplicates(verb, updates) >= part.rows)
}

fn number_after(info: &[u8], word: &str) -> Option<u64> {
    let text = std::str::from_utf8(info).ok()?;
    let rest = text.split_once(word)?.1;
    rest.split_whitespace().next()?.parse().ok()
}

/// All parts as one; `updates` says that there is an ON DUPLICATE KEY UPDATE.
pub fn total(parts: &[Counted<'_>], verb: InsertVerb, updates: bool) -> OkPacket {
    let records: u64 = parts.iter().map(|part| part.rows).sum();
    let duplicates: u64 = parts.iter().map(|part| part.duplicates(verb, updates)).sum();
    let warnings = parts.iter().fold(0_u16, |sum, part| sum.saturating_add(part.ok.warnings));
    let info = format!("Records: {records}  Duplicates: {duplicates}  Warnings: {warnings}");
    OkPacket {
        affected_rows: parts.iter().map(|part| part.ok.affected_rows).sum(),
        warnings,
        info: info.into_bytes(),
        ..OkPacket::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(affected: u64, info: &str) -> OkPacket {
        let info = info.as_bytes().to_vec();
        OkPacket { affected_rows: affected, info, ..OkPacket::default() }
    }

    #[test]
    fn parts_add_up() {
        let several = ok(5, "Records: 4  Duplicates: 1  Warnings: 0");
        let updated = ok(2, "");
        let parts = [Counted { ok: &several, rows: 4 }, Counted { ok: &updated, rows: 1 }];
        let whole = total(&parts, InsertVerb::Insert, true);
        assert_eq!(whole.info, b"Records: 5  Duplicates: 2  Warnings: 0");
        assert_eq!(whole.affected_rows, 7);
        let ignored = ok(0, "");
        let parts = [Counted { ok: &ignored, rows: 1 }];
        let whole = total(&parts, InsertVerb::Ignore, false);
        assert_eq!(whole.info, b"Records: 1  Duplicates: 1  Warnings: 0");
    }
}
