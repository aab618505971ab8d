//! Functions on single numbers that loops over many are made of.

/// Below it, [`exp`] gives 0: e⁻⁸⁷ is the last power of e that is no subnormal number.
const SMALLEST: f32 = -87.0;

/// e to the power of `x`, for `x` ≤ 0 (−∞ too): within 1.5 units in the last place, and 0 below −87.
///
/// Reduction by Cody and Waite with the polynomial of Cephes' `expf` (Moshier, 1989).
#[inline(always)]
#[allow(clippy::excessive_precision)]
pub fn exp(x: f32) -> f32 {
    // Added to it, a number of this size loses its fraction, and its low bits are the integer.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut sum = 1.987_569_15e-4;
    for coefficient in [1.398_199_950_7e-3, 8.333_451_907_3e-3, 4.166_579_589_4e-2, 1.666_666_545_9e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let fraction = (sum * (rest * rest) + rest) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < SMALLEST { 0.0 } else { fraction * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(found: f32, exact: f64) -> f64 {
        let near = exact as f32;
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        (f64::from(found) - exact).abs() / unit
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = (0.0, 0.0);
        let mut x = 0.0f32;
        while x > SMALLEST {
            let error = ulps(exp(x), f64::from(x).exp());
            if error > worst.0 {
                worst = (error, x);
            }
            x -= 1.7e-5 + x.abs() * 1e-5;
        }
        assert!(worst.0 < 1.5, "{worst:?}");
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert!(exp(SMALLEST) > f32::MIN_POSITIVE);
        for x in [-87.01, -88.0, -1000.0, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp(x), 0.0, "{x}");
        }
    }

    #[test]
    fn exp_does_not_rise_to_the_left() {
        // Where the exponent changes, a polynomial may step back; by one unit at most.
        for half in 0..250 {
            let x = -(half as f32 + 0.5) * std::f32::consts::LN_2 / 2.0;
            let left = exp(f32::from_bits(x.to_bits() + 1));
            assert!(left <= exp(x) * (1.0 + f32::EPSILON), "{x}");
        }
    }
}
