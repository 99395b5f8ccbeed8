//! `offset` and `limit`: an offset counts rows, and each list says how many rows it gives when it
//! is not told.

use base::api_error::ApiError;

/// The most rows that one list call gives.
pub const LIMIT_MAX: u64 = 128;

/// Rows of the instance list when no limit is given.
pub const INSTANCES_LIMIT_DEFAULT: u64 = 10;

/// Rows of the other lists when no limit is given.
pub const LIMIT_DEFAULT: u64 = 128;

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows to leave out at the start.
    pub offset: u64,
    /// The most rows to give, 1–128.
    pub limit: u64,
}

impl Page {
    /// The page that a request asks for.
    pub fn new(
        offset: Option<i64>,
        limit: Option<i64>,
        default_limit: u64,
    ) -> Result<Self, ApiError> {
        let offset = u64::try_from(offset.unwrap_or(0))
            .map_err(|_| ApiError::parameter("offset", "must not be negative", "不能为负数"))?;
        let limit = match limit {
            None => default_limit,
            Some(limit) => u64::try_from(limit)
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| {
                    ApiError::parameter("limit", "must be from 1 to 128", "取值范围为1~128")
                })?,
        };
        Ok(Self { offset, limit })
    }

    /// The page's rows of `all`.
    pub fn cut<T>(&self, all: Vec<T>) -> Vec<T> {
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        all.into_iter().skip(offset).take(self.rows()).collect()
    }

    /// The most rows to give, as a length.
    pub fn rows(&self) -> usize {
        usize::try_from(self.limit).expect("a limit is at most 128")
    }

    /// The page's number, from 1.
    pub fn number(&self) -> u64 {
        self.offset / self.limit + 1
    }

    /// How many pages `total` rows fill.
    pub fn count(&self, total: u64) -> u64 {
        total.div_ceil(self.limit)
    }
}

/// The length of a list as the API counts.
pub fn total<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).expect("a list in memory is shorter than 2^64")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_are_the_documents() {
        for (offset, limit, field) in [
            (Some(-1), None, "offset"),
            (None, Some(0), "limit"),
            (None, Some(129), "limit"),
            (None, Some(-5), "limit"),
        ] {
            let error = Page::new(offset, limit, 10).unwrap_err();
            assert_eq!((error.code.code, error.field.as_deref()), ("DBS.280001", Some(field)));
        }
        assert_eq!(Page::new(None, None, 10), Ok(Page { offset: 0, limit: 10 }));
        let page = Page::new(Some(2), Some(1), 10).unwrap();
        assert_eq!((page.number(), page.count(26)), (3, 26), "the documents' own example");
        assert_eq!(page.cut(vec![1, 2, 3, 4]), [3]);
        assert!(Page::new(Some(i64::MAX), Some(128), 10).unwrap().cut(vec![1]).is_empty());
    }
}
