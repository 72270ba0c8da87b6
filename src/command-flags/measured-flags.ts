/** Flags of the commands that take a measured run: what its files may not say. */
import {Args, Flags} from '@oclif/core'
import {engineFlags} from './engine-flags.js'

export const measuredRun = {
  run: Args.string({description: 'file or folder of a measured run', required: true}),
}

export const measuredFlags = {
  hardware: Flags.string({
    helpGroup: 'HARDWARE',
    helpValue: 'NAME',
    summary: 'Accelerator, where the files do not name it.',
  }),
  trace: Flags.string({
    helpGroup: 'TRACE',
    helpValue: 'FILE',
    summary: 'The trace that was replayed, for its prefixes.',
  }),
  ...engineFlags,
}
