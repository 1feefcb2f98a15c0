//! Another Rust library of the program, with the standard library and a panic of its own.

#[no_mangle]
pub extern "C" fn other_sum(count: u32) -> u32 {
    let numbers: Vec<u32> = (1..=count).collect();
    numbers.iter().sum()
}

/// 1 when a panic was caught. Where panics abort there is none.
#[no_mangle]
pub extern "C" fn other_panic() -> u32 {
    if cfg!(panic = "abort") {
        return 1;
    }
    std::panic::set_hook(Box::new(|_| ()));
    u32::from(std::panic::catch_unwind(|| panic!("caught")).is_err())
}
