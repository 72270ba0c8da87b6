/**
 * Weights that are streamed, played step by step: one link, one buffer, one device. Written from
 * docs/weight-placement.md; knows nothing of src.
 */

export interface StreamedStep {
  /** ns to compute each unit of a step, in order; the last is what is outside of blocks. */
  readonly compute: readonly number[]
  /** ns on the link; 0: on the device. */
  readonly load: readonly number[]
  readonly prefetch: number
}

/** Mean ns of a step in the second half of `steps` like ones. */
export function playedStepNs({compute, load, prefetch}: StreamedStep, steps: number): number {
  const streamed = load.filter((ns) => ns > 0).length
  const places = Math.min(prefetch + 1, streamed)
  /** When the units that were streamed so far had been computed. */
  const left: number[] = []
  let linkFree = 0
  let deviceFree = 0
  let half = 0
  for (let step = 0; step < steps; step++) {
    if (step === steps / 2) half = deviceFree
    for (const [unit, ns] of compute.entries()) {
      let ready = 0
      if (load[unit]! > 0) {
        const placeFree = left.length < places ? 0 : left[left.length - places]!
        linkFree = Math.max(linkFree, placeFree) + load[unit]!
        ready = linkFree
      }
      deviceFree = Math.max(deviceFree, ready) + ns
      if (load[unit]! > 0) left.push(deviceFree)
    }
  }
  return (deviceFree - half) / (steps / 2)
}
