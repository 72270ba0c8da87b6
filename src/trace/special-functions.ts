/** Inverse distribution functions that samplers stand on. */

/** Natural logarithm of Γ(x) for x > 0: recurrence up to 8, then Stirling's series (error below 1e-13). */
export function logGamma(x: number): number {
  let shift = 0
  let z = x
  for (; z < 8; z++) shift -= Math.log(z)
  const r = 1 / (z * z)
  const series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / z
  return shift + (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series
}

/** Regularised lower incomplete gamma function P(a, x): power series, or Lentz's continued fraction. */
export function gammaP(a: number, x: number): number {
  if (x <= 0) return 0
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a))
  if (x < a + 1) {
    let term = 1 / a
    let sum = term
    for (let n = 1; n < 1000 && term > sum * 1e-16; n++) {
      term *= x / (a + n)
      sum += term
    }
    return sum * scale
  }
  let b = x + 1 - a
  let c = 1e300
  let d = 1 / b
  let h = d
  for (let n = 1; n < 1000; n++) {
    const an = -n * (n - a)
    b += 2
    d = 1 / (an * d + b)
    c = b + an / c
    h *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return 1 - scale * h
}

/**
 * The x with P(shape, x) = p for 0 ≤ p < 1: Newton's steps in ln x, held inside a bracket by bisection.
 */
export function inverseGamma(shape: number, p: number): number {
  if (p <= 0) return 0
  // P(a, x) <= x^a / Γ(a + 1), and close to it for small x: a bound from below.
  let y = (Math.log(p) + logGamma(shape + 1)) / shape
  let low = y
  let high = Math.log(shape + 40 + 20 * Math.sqrt(shape) - 2 * Math.log1p(-p))
  if (shape > 1) y = Math.min(high, Math.max(low, Math.log(shape)))
  for (let step = 0; step < 200; step++) {
    const x = Math.exp(y)
    const error = gammaP(shape, x) - p
    if (error > 0) high = y
    else low = y
    const slope = Math.exp(shape * y - x - logGamma(shape))
    const next = y - error / slope
    const inside = next > low && next < high
    const to = inside ? next : (low + high) / 2
    if (Math.abs(to - y) < 1e-13 * Math.max(1, Math.abs(y))) return Math.exp(to)
    y = to
  }
  return Math.exp(y)
}

const polynomial = (x: number, coefficients: readonly number[]): number =>
  coefficients.reduceRight((sum, c) => sum * x + c, 0)

/** Standard normal quantile, algorithm AS 241 (Wichura 1988, PPND16; relative error about 1e-16). */
export function inverseNormal(p: number): number {
  const q = p - 0.5
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q
    return (q * polynomial(r, centre.over)) / polynomial(r, centre.under)
  }
  let r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p))
  const tail = r <= 5 ? near : far
  r -= r <= 5 ? 1.6 : 5
  const value = polynomial(r, tail.over) / polynomial(r, tail.under)
  return q < 0 ? -value : value
}

const centre = {
  over: [
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946,
    45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227,
  ],
  under: [
    1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597,
    39307.89580009271, 28729.085735721943, 5226.495278852546,
  ],
}

const near = {
  over: [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
    1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
  ],
  under: [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008,
    0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-9,
  ],
}

const far = {
  over: [
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487,
    0.026532189526576124, 0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
  ],
  under: [
    1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
    1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
  ],
}
