//! Components of products.

pub mod add;
pub mod edit;
