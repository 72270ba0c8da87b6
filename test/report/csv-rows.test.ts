import {strict as assert} from 'node:assert'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import fc from 'fast-check'
import {CsvFault, readCsv} from '#llmsim/report/csv-rows.js'
import {csvCell} from '#llmsim/report/row-file.js'

describe('rows of CSV', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-csv-'))
  })
  after(() => {
    rmSync(folder, {recursive: true})
  })

  const read = (text: string): [string[], number][] => {
    const path = join(folder, 'x.csv')
    writeFileSync(path, text)
    const rows: [string[], number][] = []
    readCsv(path, (cells, line) => rows.push([cells, line]))
    return rows
  }

  for (const text of ['a,"b', 'a,b"c\n', '"a"b,c\n', '"a" ,b\n', '"a""\nb,c\n']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => read(text),
        (error) => error instanceof CsvFault && error.line === 1,
      )
    })
  }

  it('refuses what is no file', () => {
    assert.throws(() => readCsv(folder, () => {}), /it is a folder, not a file/)
  })

  it('reads a byte order mark, CRLF, empty cells, empty lines and a last line without an end', () => {
    assert.deepEqual(read('\uFEFFa,b\r\n\r\n,\n"x,\r\ny",""\nz,w'), [
      [['a', 'b'], 1],
      [['', ''], 3],
      [['x,\r\ny', ''], 4],
      [['z', 'w'], 6],
    ])
  })

  it('gives back whatever was written, across blocks too', () => {
    const text = fc.string({unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '😀')})
    const rows = fc.array(fc.tuple(text, text), {minLength: 1, maxLength: 20})
    fc.assert(
      fc.property(rows, fc.boolean(), (drawn, long) => {
        const filler = long ? [['x'.repeat((1 << 20) - 7), '']] : []
        const all = [...filler, ...drawn]
        const written = all.map((row) => `${row.map(csvCell).join(',')}\n`).join('')
        assert.deepEqual(
          read(written).map(([cells]) => cells),
          all,
        )
      }),
      {numRuns: 60},
    )
  })
})
