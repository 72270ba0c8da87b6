/** Every flag that takes a time reads it the same way, and says the same of what is none. */
import {expect} from 'chai'
import {durationNs, durationOrNumberNs} from '#llmsim/command-flags/duration-flag.js'
import {rotationOf} from '#llmsim/command-flags/listen-flags.js'
import {Problem} from '#llmsim/errors.js'
import {durationWords, parseDuration} from '#llmsim/report/duration.js'
import {parseSlo} from '#llmsim/report/slo.js'
import {parseWarmup} from '#llmsim/report/warmup.js'
import {llmsim} from '../support/cli.js'
import {scratch} from '../trace/files.js'

describe('durations', () => {
  const file = scratch()
  it('are read alike by all that take one', () => {
    for (const [text, ns] of [
      ['500us', 5e5],
      ['1.5s', 1.5e9],
      ['5m', 300e9],
      ['5 min', 300e9],
      ['1h', 3600e9],
      ['30S', 30e9],
    ] as const) {
      expect(parseDuration(text)).equal(ns)
      expect(durationNs('cold-start', text)).equal(ns)
      expect(parseWarmup(text)).deep.equal({kind: 'time', ns})
      expect(parseSlo(`ttft=${text}`)).deep.equal({ttft: ns})
      expect(rotationOf(text)).deep.equal({ms: ns / 1e6})
      expect(durationOrNumberNs('from', text, {ns: 1e9, name: 'x', example: '1'})).equal(ns)
    }
    expect(durationOrNumberNs('from', '2.5', {ns: 1e9, name: 'x', example: '1'})).equal(2.5e9)
  })

  const flags = [
    'simulate traces/chat.csv --hardware H100 --warmup',
    'simulate traces/chat.csv --hardware H100 --from',
    'simulate traces/chat.csv --hardware H100 --to',
    'simulate traces/chat.csv --hardware H100 --router-view-age',
    'simulate traces/chat.csv --hardware H100 --max-loras 2 --lora-load-ms',
    'simulate traces/chat.csv --hardware H100 --autoscale queue=4 --cold-start 1s --provision-delay',
    'report runs/none --warmup',
    'listen --hardware H100 --warmup',
  ]
  for (const line of flags)
    it(`${line} says what a time is`, async () => {
      for (const wrong of ['5minutes', '-3s', '1e300', '3000000h', 'NaN']) {
        const words = line.split(' ')
        const flag = words.pop()!
        const {error} = await llmsim(...words, `${flag}=${wrong}`)
        expect(error?.message).include(durationWords)
        expect(error?.message).include(wrong)
        expect((error as unknown as {oclif: {exit: number}}).oclif.exit).equal(2)
      }
    })

  it('reaches as far as traces do in --from and --to', async () => {
    const long = 'arrived_at,input_tokens,output_tokens\n0,9,9\n10000000,9,9\n10500000,9,9\n'
    const path = file('long.csv', long)
    const {error, stdout} = await llmsim('trace', 'info', path, '--from', '9500000', '--to', '2e7')
    expect(error).equal(undefined)
    expect(stdout).match(/requests +2 /)
  })

  it('of an SLO and of a rotation', () => {
    for (const wrong of ['5', '5minutes', '-3s']) {
      expect(() => parseSlo(`ttft=${wrong}`)).throw(Problem, durationWords)
      expect(() => rotationOf(wrong)).throw(Problem, durationWords)
    }
  })
})
