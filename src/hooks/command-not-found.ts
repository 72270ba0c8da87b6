import type {Hook} from '@oclif/core'
import {unknownCommand} from '../unknown-command.js'

/** `llmsim simulte`: says which command was probably meant, without asking, on a terminal or not. */
export const hook: Hook.CommandNotFound = async ({id, argv, config}) => {
  throw unknownCommand(id, argv ?? [], config)
}

export default hook
