import {readFile} from 'node:fs/promises'
import {Plugin} from '@oclif/core'
import {expect} from 'chai'
import {root} from './support/cli.js'

describe('oclif.manifest.json', () => {
  // oclif believes the manifest and not the code: a stale one hides new commands and flags.
  it('says what the compiled commands say (npm run manifest renews it)', async () => {
    const plugin = new Plugin({
      root,
      type: 'core',
      ignoreManifest: true,
      isRoot: true,
      respectNoCacheDefault: true,
    })
    await plugin.load()
    const written = JSON.parse(await readFile(`${root}oclif.manifest.json`, 'utf8'))
    // Through JSON, as the file went: undefined fields fall away.
    expect(JSON.parse(JSON.stringify(plugin.manifest))).deep.equal(written)
  })
})
