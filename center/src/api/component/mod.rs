//! Components of products.

pub mod add;
