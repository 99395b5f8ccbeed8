//! What a MariaDB server says when it has no room on its disk: nothing about the statement, which is
//! taken once there is room again.

/// Disk full; the table is full.
const NUMBERS: [u16; 2] = [1021, 1114];

/// What the system calls it, at the end of the server's errors about files.
const REASON: &str = "No space left on device";

/// Whether an error of a server, by its number and text, says that its disk is full.
pub fn is_disk_full(number: u16, message: &[u8]) -> bool {
    NUMBERS.contains(&number) || message.windows(REASON.len()).any(|part| part == REASON.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disks_are_told_from_what_a_statement_has_wrong() {
        let writing = b"Error writing file './shop_0000/#sql-alter-1618-58.frm' (Errcode: 28 \"No space left on device\")";
        assert!(is_disk_full(3, writing));
        assert!(is_disk_full(1021, b"Disk full (/tmp); waiting for someone to free some space..."));
        assert!(!is_disk_full(
            3,
            b"Error writing file './a.frm' (Errcode: 30 \"Read-only file system\")"
        ));
        assert!(!is_disk_full(1072, b"Key column 'c0' doesn't exist in table"));
    }
}
