import {strict as assert} from 'node:assert'
import {passingLineOn} from '#llmsim/report/progress.js'

describe('a line that passes', () => {
  const lineOn = (isTTY: boolean, env: {readonly TERM?: string} = {}) => {
    let written = ''
    const write = (text: string): boolean => {
      written += text
      return true
    }
    const line = passingLineOn({isTTY, columns: 10, write} as never, env)
    line.show('first text that is long')
    line.show('second')
    line.clear()
    return written
  }

  it('is not there where nobody looks, or where it could not be written over', () => {
    assert.equal(lineOn(false), '')
    assert.equal(lineOn(true, {TERM: 'dumb'}), '')
  })

  it('is written over, shorter than the terminal, and gone in the end', () => {
    const erase = '\r\u001B[2K'
    assert.equal(lineOn(true), `${erase}first tex${erase}second${erase}`)
  })
})
