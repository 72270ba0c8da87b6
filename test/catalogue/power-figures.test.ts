/** What a result says of where its power figures come from. */
import {expect} from 'chai'
import {type PowerSection, powerFiguresOf} from '#llmsim/catalogue/power-figures.js'

const sourceOf = (power: Partial<PowerSection> | null): string =>
  powerFiguresOf({
    powerW: 600,
    power: power && {device: {}, host: {}, link: {}, source: 'measured', ...power},
  }).source

describe('the source of power figures', () => {
  it('says that active is board power only where it is', () => {
    expect(sourceOf(null)).match(/^active is board power; other figures from the power example/)
    expect(sourceOf({device: {idleW: 30}})).match(
      /^measured; what it leaves out: active is board power; other figures from/,
    )
    expect(sourceOf({device: {activeW: 450}})).match(
      /^measured; what it leaves out: other figures from the power example/,
    )
  })

  it('names no other source where nothing is left out', () => {
    const {device, host, link} = powerFiguresOf({powerW: 600, power: null})
    expect(sourceOf({device, host, link})).equal('measured')
    const {activeW: _, ...rest} = device
    expect(sourceOf({device: rest, host, link})).equal(
      'measured; what it leaves out: active is board power',
    )
  })
})
