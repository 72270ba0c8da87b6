import {expect} from 'chai'
import fc from 'fast-check'
import {ApiError} from '#llmsim/server/api-error.js'
import {duplicateKey, parseBody} from '#llmsim/server/json-body.js'

describe('bodies', () => {
  it('are what JSON.parse makes of them', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, undefined, 1)
        expect(duplicateKey(text)).equal(undefined)
        expect(parseBody(Buffer.from(text))).deep.equal(JSON.parse(text))
      }),
    )
  })

  it('have no key twice, however it is hidden', () => {
    const twice = {
      '{"a": 1, "b": {"a": 2}, "a": 3}': 'a',
      '[{"x": 1}, {"y": 1, "y" : 2}]': 'y',
      '{"a": "\\"b\\": 1", "c": {"d": [], "d": 0}}': 'd',
      '{"a\\\\": 1, "a\\\\": 2}': 'a\\\\',
    }
    for (const [text, key] of Object.entries(twice)) expect(duplicateKey(text), text).equal(key)
    for (const text of ['{"a": "a", "b": "a"}', '[["a", "a"], {"a": {"a": {"a": "\\\\"}}}]'])
      expect(duplicateKey(text), text).equal(undefined)
  })

  it('are UTF-8 and JSON, or refused with a place', () => {
    const refusal = (bytes: Buffer): string => {
      try {
        parseBody(bytes)
      } catch (error) {
        if (error instanceof ApiError) return error.message
      }
      return 'taken'
    }
    expect(refusal(Buffer.from([0x22, 0xff, 0x22]))).include('UTF-8')
    expect(refusal(Buffer.from('{\n "a": 1,\n}'))).include('body:3:1')
    expect(refusal(Buffer.from(' '))).include('empty')
  })
})
