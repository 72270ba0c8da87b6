/** What a run costs: the devices that were there, by the hour. */
import type {Throughput} from './measures.js'

export interface Price {
  /** US dollars per hour of one device. */
  readonly usdPerHour: number
  readonly devices: number
}

export interface Cost {
  readonly usd_per_hour: number
  readonly devices: number
  /** From the first arrival that counts (after the warm-up) to the last finish. */
  readonly usd: number | null
  /** The whole cost over one kind of token each, and over both kinds together. */
  readonly usd_per_1m_input_tokens: number | null
  readonly usd_per_1m_output_tokens: number | null
  readonly usd_per_1m_tokens: number | null
}

/** price/h × devices × duration ÷ tokens: at constant rates the duration cancels out. */
export function costOf(
  {usdPerHour, devices}: Price,
  {input_tokens_per_s: input, output_tokens_per_s: output}: Throughput,
  seconds: number,
): Cost {
  const usdPerSecond = (usdPerHour * devices) / 3600
  const per1m = (rate: number | null): number | null => (rate ? (usdPerSecond / rate) * 1e6 : null)
  return {
    usd_per_hour: usdPerHour,
    devices,
    usd: orNull(usdPerSecond * seconds),
    usd_per_1m_input_tokens: per1m(input),
    usd_per_1m_output_tokens: per1m(output),
    usd_per_1m_tokens: per1m((input ?? 0) + (output ?? 0)),
  }
}

const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value)
