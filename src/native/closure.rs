//! A closure passed by reference, without the table of functions that `dyn FnMut` brings into the image.

use core::marker::PhantomData;

use super::error::Error;
use super::provider::Port;

/// A closure that does something with a `T` and the platform: `&mut dyn FnMut` without its table of functions.
pub struct Does<'w, T> {
    closure: *mut (),
    work: unsafe fn(*mut (), &mut T, &mut Port<'_>) -> Result<(), Error>,
    lives: PhantomData<&'w mut ()>,
}

impl<'w, T> Does<'w, T> {
    /// Of a closure.
    pub fn of<F: FnMut(&mut T, &mut Port<'_>) -> Result<(), Error>>(closure: &'w mut F) -> Self {
        unsafe fn work<T, F: FnMut(&mut T, &mut Port<'_>) -> Result<(), Error>>(
            closure: *mut (),
            with: &mut T,
            platform: &mut Port<'_>,
        ) -> Result<(), Error> {
            // SAFETY: `of` made the pointer from this type, and `work` is called while it is borrowed.
            unsafe { (*closure.cast::<F>())(with, platform) }
        }
        Does { closure: core::ptr::from_mut(closure).cast(), work: work::<T, F>, lives: PhantomData }
    }

    /// Calls it.
    pub fn work(&mut self, with: &mut T, platform: &mut Port<'_>) -> Result<(), Error> {
        // SAFETY: both are of `of`.
        unsafe { (self.work)(self.closure, with, platform) }
    }
}
