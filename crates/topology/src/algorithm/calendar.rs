//! Civil dates, as far as the sharding algorithms count them: day of the year, ISO week, weekday.
//! Years are 0–9999 as in the servers; everything is proleptic Gregorian.

/// A date that exists (month and day are not zero).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

const DAYS_IN_MONTH: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Date {
    /// The date, if it exists.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let exists = year <= 9999
            && (1..=12).contains(&month)
            && day >= 1
            && day <= days_in_month(year, month);
        exists.then_some(Self { year, month, day })
    }

    /// The year.
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, 1–12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1–31.
    pub fn day(self) -> u8 {
        self.day
    }

    /// The day of the year, 1–366.
    pub fn day_of_year(self) -> u16 {
        let before: u16 =
            (1..self.month).map(|month| u16::from(days_in_month(self.year, month))).sum();
        before + u16::from(self.day)
    }

    /// The day of the week, Sunday = 1 … Saturday = 7.
    pub fn day_of_week(self) -> u8 {
        // Day 0 (0000-01-01) of the proleptic calendar is a Saturday.
        u8::try_from((self.day_number() + 6) % 7 + 1).expect("1 to 7")
    }

    /// ISO-8601 week-year and week.
    pub fn iso_week(self) -> (u16, u8) {
        let weekday = i32::from((self.day_of_week() + 5) % 7) + 1; // Monday = 1
        let week = (i32::from(self.day_of_year()) - weekday + 10) / 7;
        let year = self.year;
        if week < 1 {
            let before = year.saturating_sub(1);
            return (before, weeks_in_year(before));
        }
        if week > i32::from(weeks_in_year(year)) {
            return (year + 1, 1);
        }
        (year, u8::try_from(week).expect("1 to 53"))
    }

    /// Days since 0000-01-01.
    pub fn day_number(self) -> u32 {
        let year = u32::from(self.year);
        let leap_days =
            if year == 0 { 0 } else { (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 };
        year * 365 + leap_days + u32::from(self.day_of_year()) - 1
    }

    /// The next day; `None` after the last one.
    pub fn next(self) -> Option<Self> {
        Self::new(self.year, self.month, self.day + 1)
            .or_else(|| Self::new(self.year, self.month + 1, 1))
            .or_else(|| Self::new(self.year + 1, 1, 1))
    }
}

fn is_leap(year: u16) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn days_in_month(year: u16, month: u8) -> u8 {
    if month == 2 && is_leap(year) { 29 } else { DAYS_IN_MONTH[usize::from(month) - 1] }
}

/// 52 or 53: a year has 53 weeks if it begins or ends on a Thursday.
fn weeks_in_year(year: u16) -> u8 {
    let on_thursday = |month, day| Date { year, month, day }.day_of_week() == 5;
    if on_thursday(1, 1) || on_thursday(12, 31) { 53 } else { 52 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_and_weeks() {
        for (y, m, d, doy, dow, week) in [
            (2019, 1, 15, 15, 3, (2019, 3)),
            (2012, 12, 31, 366, 2, (2013, 1)),
            (2019, 10, 11, 284, 6, (2019, 41)),
            (2019, 1, 6, 6, 1, (2019, 1)),
            (2016, 1, 1, 1, 6, (2015, 53)),
            (2000, 2, 29, 60, 3, (2000, 9)),
            (2026, 11, 21, 325, 7, (2026, 47)),
            (1970, 1, 1, 1, 5, (1970, 1)),
        ] {
            let date = Date::new(y, m, d).unwrap();
            assert_eq!(date.day_of_year(), doy, "{date:?}");
            assert_eq!(date.day_of_week(), dow, "{date:?}");
            assert_eq!(date.iso_week(), week, "{date:?}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut date = Date::new(0, 1, 1).unwrap();
        let mut days = 1;
        while let Some(next) = date.next() {
            assert_eq!(next.day_number(), date.day_number() + 1);
            assert_eq!(next.day_of_week(), date.day_of_week() % 7 + 1);
            date = next;
            days += 1;
        }
        assert_eq!(days, 3_652_425);
        assert!(Date::new(2023, 2, 29).is_none());
        assert!(Date::new(1900, 2, 29).is_none());
    }
}
