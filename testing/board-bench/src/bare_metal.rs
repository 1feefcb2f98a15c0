//! What Rust asks of a board: an allocator, for the memory flash of the bench, and an end for what cannot go on.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

unsafe extern "C" {
    /// Of main.c.
    static bench_heap: [u8; HEAP];
    fn bench_panic() -> !;
}

/// As in main.c.
const HEAP: usize = 2 * 1024 * 1024;

/// Gives out one piece behind the other, and takes nothing back.
struct Bump(AtomicUsize);

#[global_allocator]
static ALLOCATOR: Bump = Bump(AtomicUsize::new(0));

// SAFETY: each piece is inside the heap, aligned, and given out once: the board has one task, and no interrupt allocates.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.0.load(Ordering::Relaxed).next_multiple_of(layout.align().max(8));
        let end = start.saturating_add(layout.size());
        if end > HEAP {
            return core::ptr::null_mut();
        }
        self.0.store(end, Ordering::Relaxed);
        // SAFETY: `start` is inside the heap, which main.c aligns to 8.
        unsafe { (&raw const bench_heap).cast::<u8>().cast_mut().add(start) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it has no conditions.
    unsafe { bench_panic() }
}
