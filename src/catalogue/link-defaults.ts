/**
 * What memories and links do that no file and no flag describes. docs/cluster.md has the table with its sources; a cluster
 * file says better.
 */

/** One direction of a memory or a port. */
export interface LinkDefault {
  /** 10^9 bytes per second, of reads and of writes. */
  readonly readGbPerS: number
  readonly writeGbPerS: number
  /** Of a transfer of KV, that a program starts for each. */
  readonly transferUs: number
}

/**
 * 10^9 bytes per second: a hundredth of a network of 1 Gb/s, and less than anything that serves a model. Slower rates are
 * slips of the pen (bits, megabytes), with which a run would end after centuries.
 */
export const slowestGbPerS = 0.001

/** 10 s: longer latencies are in another unit. */
export const longestLatencyUs = 1e7

/**
 * µs until the first byte of what a device reads by itself, or of a copy that was queued before its turn. PCIe takes most
 * of the 1 µs in which a network card sends and gets back a small packet (Neugebauer et al., "Understanding PCIe performance
 * for end host networking", SIGCOMM 2018); CXL is in the same order.
 */
export const firstByteUs = 1

/**
 * A copy that the host starts takes 5 to 7 µs to submit (Wu et al., "DualPath", arXiv 2602.21548, section 5.2) and the
 * first byte follows: 10 µs as an order of magnitude; the same for an RDMA read with its rendezvous. A read of
 * flash takes tens of µs more: 100 in all.
 */
export const linkDefaults = {
  /** Eight channels of DDR5-4800. */
  cpu: {readGbPerS: 307, writeGbPerS: 307, transferUs: 10},
  /** 16 lanes of PCIe 5.0. */
  cxl: {readGbPerS: 64, writeGbPerS: 64, transferUs: 10},
  /** Sequential rates of a Samsung PM9A3 (PCIe 4.0, U.2). */
  nvme: {readGbPerS: 6.5, writeGbPerS: 3.5, transferUs: 100},
  /** One port of 400 Gb/s. */
  network: {readGbPerS: 50, writeGbPerS: 50, transferUs: 10},
} as const satisfies Readonly<Record<string, LinkDefault>>

/**
 * No figure of a device, an engine or a run is larger: 2^53 ns are 104 days, and bytes of the largest memory, rates of the
 * fastest links and operations of the widest chip in their units lie below it. Beyond is a slip of the pen, and sums would
 * no longer be exact.
 */
export const largestNumber = Number.MAX_SAFE_INTEGER
