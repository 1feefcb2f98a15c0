//! Why the center evaluates the plans of a device.

words! {
    /// Why a device's plans are evaluated now.
    Trigger, "trigger" {
        /// It asked (0x0115).
        Request = "request",
        /// It came online and reported its versions.
        Online = "online",
        /// A 10-minute mark.
        Mark = "mark",
        /// A pause or a refusal delay is over.
        Retry = "retry",
        /// The end user has confirmed or appointed, or the appointed window opens.
        Consent = "consent",
    }
}
