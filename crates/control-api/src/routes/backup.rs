//! Routes of backups.

use super::Route;

pub(super) const ROUTES: &[Route] = &[];
