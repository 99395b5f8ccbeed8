//! Routes of the slow log.

use super::Route;

pub(super) const ROUTES: &[Route] = &[];
