/** Checks that others keep beside the data: programs that run this project as it is built, and judge it. */
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {expect} from 'chai'
import {root, spawnProgram} from '../support/cli.js'
import {data} from './published.js'

describe('checks from outside', () => {
  for (const name of ['llmservingsim-clock.mjs', 'json-contract.mjs']) {
    const path = join(data, '../checks', name)
    if (!existsSync(path)) {
      it(`${name} (skipped: no such file in checks/ beside LLMSIM_DATA)`)
      continue
    }
    it(name, async () => {
      const {code, stdout, stderr} = await spawnProgram(process.execPath, [path], {cwd: root})
      expect(code, stdout + stderr).equal(0)
      expect(stdout).include('300')
    }).timeout(60_000)
  }
})
