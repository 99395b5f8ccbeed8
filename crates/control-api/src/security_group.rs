//! Security groups and the rules that say which clients may connect.
