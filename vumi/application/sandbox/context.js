// What a script sees: evaluated inside the script's own context, so that every object here is the
// context's. Gives a function that starts the context; that one gives the only way in.
//
// Knows the worker's commands, callbacks, and what a CommonJS module expects to find. Knows
// neither files nor processes: for those it asks the runner, by strings (runner.js).
//
// The script can patch every built-in method, so this code decides nothing: the runner checks
// what a script may do. Two things the runner can't see are kept from scripts here, by code that
// calls no built-in method: `host`, which is only called; and a package's `require`, which only
// that package gets.
(function (host, settingsText, library) {
    'use strict';

    const { parse, stringify } = JSON;
    const { apply } = Reflect;
    const { create, defineProperty } = Object;
    const settings = parse(settingsText);
    const world = globalThis;
    // What is not in it is not found in a prototype either, whatever the script writes there.
    const granted = Object.setPrototypeOf(settings.granted, null);

    function ask(kind, text, number) {
        try {
            return host(kind, text, number);
        } catch (_error) {
            // It is of the other realm: it must not be seen.
        }
        throw new RangeError('The script is nested too deeply to do this.');
    }

    // An answer is a string whose first letter tells what it is.
    function answerOf(answer) {
        if (typeof answer === 'string' && answer[0] === 'E') { throw new Error(answer.slice(1)); }
        return answer;
    }

    const { EventEmitter, Buffer, util, assert, show, format } = library(
        (kind, encoding, text) => answerOf(ask(kind, encoding + '\n' + text, 0)).slice(1));

    if (settings.contexts) {
        // By these a script could come to life again when its message is long over.
        for (const name of ['FinalizationRegistry', 'WeakRef', 'Atomics', 'SharedArrayBuffer']) {
            delete world[name];
        }
    }
    delete world.WebAssembly;

    // Errors

    function describe(error) {
        try {
            const text = error instanceof Error || (error && typeof error.stack === 'string')
                ? String(error.stack) : 'The script threw ' + show(error);
            return text.split('\n')
                .filter(line => !/\((vumi:|node:)|at (vumi:|node:)/.test(line)).join('\n');
        } catch (_error) {
            return 'The script threw something that can not be shown.';
        }
    }

    // Timers

    const waiting = new Map();
    let timerCount = 0;

    // What Node gives for a timer; that it counts as a number is for those that keep it as one.
    class Timer {
        constructor(id) { this.id = id; }
        ref() { return this; }
        unref() { return this; }
        hasRef() { return waiting.has(this.id); }
        [Symbol.toPrimitive]() { return this.id; }
    }

    function startTimer(name, delay, callback, args) {
        if (typeof callback !== 'function') {
            throw new TypeError('A timer needs a function to call.');
        }
        const id = timerCount += 1;
        waiting.set(id, { callback, args, again: name === 'Interval' });
        ask('timer', name + ' ' + (Number(delay) || 0), id);
        return new Timer(id);
    }

    function stopTimer(timer) {
        const id = timer instanceof Timer ? timer.id : Number(timer);
        if (waiting.delete(id)) { ask('clear', '', id); }
    }

    function timerFired(id) {
        const timer = waiting.get(id);
        if (timer === undefined) { return; }
        if (!timer.again) {
            waiting.delete(id);
            ask('over', '', id);
        }
        timer.callback(...timer.args);
    }

    const timers = {
        setTimeout: (callback, delay, ...args) => startTimer('Timeout', delay, callback, args),
        setInterval: (callback, delay, ...args) => startTimer('Interval', delay, callback, args),
        setImmediate: (callback, ...args) => startTimer('Immediate', 0, callback, args),
        clearTimeout: stopTimer, clearInterval: stopTimer, clearImmediate: stopTimer,
    };

    // Commands

    const callbacks = new Map();
    let unsent = [];

    function flush() {
        const batch = unsent;
        unsent = [];
        for (const command of batch) { ask('send', stringify(command), 0); }
    }

    function logAt(level) {
        return (...values) => { api.request('log.' + level, { msg: format(...values) }); };
    }

    const api = {
        id: 0,
        emitter: new EventEmitter(),
        next_id() {
            api.id += 1;
            return String(api.id);
        },
        populate_command(cmd, fields) {
            fields.cmd = cmd;
            fields.reply = false;
            fields.cmd_id = api.next_id();
            return fields;
        },
        request(cmd, fields, callback) {
            const command = api.populate_command(cmd, fields || {});
            if (typeof callback === 'function') { callbacks.set(command.cmd_id, callback); }
            if (unsent.push(command) === 1) { timers.setImmediate(flush); }
        },
        log_info(msg, callback) { api.request('log.info', { msg: msg }, callback); },
        done() {
            const end = () => { ask('done', '', 0); };
            if (settings.contexts) {
                // The process stays: what was asked before is on its way, and that will do.
                api.request('log.info', { msg: 'Done.' });
                timers.setImmediate(end);
            } else {
                api.request('log.info', { msg: 'Done.' }, end);
            }
        },
        on_unknown_command(command) {
            api.request('log.error', { msg: 'The script has no handler for ' + command.cmd + '.' });
            api.done();
        },
    };

    function commandReceived(line) {
        const command = parse(line);
        if (command.reply) {
            const callback = callbacks.get(command.cmd_id);
            callbacks.delete(command.cmd_id);
            if (callback !== undefined) { callback.call(api, command); }
            return;
        }
        api.emitter.emit('command', command);
        const handler = api['on_' + String(command.cmd).replace(/[.-]/g, '_')];
        if (typeof handler === 'function') {
            handler.call(api, command);
        } else {
            api.on_unknown_command(command);
        }
    }

    const console = {
        log: logAt('info'), info: logAt('info'), debug: logAt('debug'), trace: logAt('debug'),
        warn: logAt('warning'), error: logAt('error'), dir: logAt('info'),
    };
    const process = {
        env: {}, argv: ['node'], version: '', versions: {}, platform: 'sandbox', pid: 0,
        nextTick: (callback, ...args) => { timers.setImmediate(callback, ...args); },
        cwd: () => '/', on: () => process, once: () => process, emitWarning: () => {},
    };

    // Modules

    const ownModules = {
        events: EventEmitter, util, assert, timers, buffer: { Buffer, kMaxLength: 0x7FFFFFFF },
    };
    // Without a prototype: neither getters nor setters of a script's see what is in it.
    const modules = create(null);

    function plainModule(name) {
        const made = {};
        for (const key of answerOf(ask('names', name, 0)).split(' ')) {
            made[key] = (...args) => {
                const answer = answerOf(ask('plain', stringify([name, key, args]), 0));
                return answer === 'Jundefined' ? undefined : parse(answer.slice(1));
            };
        }
        return made;
    }

    function notFound(name, why) {
        const error = new Error(`Cannot find module '${name}'` + (why || ''));
        error.code = 'MODULE_NOT_FOUND';
        return error;
    }

    function loadFile(filename) {
        const require = requireFrom(filename);
        const module = { exports: {}, id: filename, filename, loaded: false, children: [], require };
        modules[filename] = module;
        try {
            if (filename.endsWith('.json')) {
                module.exports = parse(answerOf(ask('read', filename, 0)).slice(1));
            } else {
                const run = answerOf(ask('load', filename, 0));
                const folder = filename.slice(0, filename.lastIndexOf('/'));
                apply(run, module.exports, [module.exports, require, module, filename, folder,
                    world, process, Buffer, console, timers.setTimeout, timers.clearTimeout,
                    timers.setInterval, timers.clearInterval, timers.setImmediate,
                    timers.clearImmediate]);
            }
        } catch (error) {
            delete modules[filename];
            throw error;
        }
        module.loaded = true;
        return module;
    }

    function load(name, parent) {
        if (typeof name !== 'string') { throw new TypeError('A module is named by a string.'); }
        // Joined as strings: JSON would ask toJSON() of a script's.
        const found = ask('resolve', parent + '\n' + name, 0);
        const rest = String(found).slice(1);
        switch (found && found[0]) {
        case 'P': return (modules[rest] || loadFile(rest)).exports;
        case 'R': return ask('raw', rest, 0);
        case 'N': case 'B':
            if (found[0] === 'N' && settings.own.includes(rest)) { return ownModules[rest]; }
            if (found[0] === 'N') {
                throw notFound(name, ': scripts in a sandbox do without it.');
            }
            return modules[found] || (modules[found] = plainModule(rest));
        case 'E': throw new Error(rest);
        default: throw notFound(name);
        }
    }

    function requireFrom(parent) {
        const require = name => load(name, parent);
        const cache = create(null);
        cache.value = {};
        return defineProperty(require, 'cache', cache);
    }

    function grantedRequire(name) {
        if (typeof name !== 'string' || granted[name] !== true) {
            throw notFound(name, ': it is none of the modules that this application may use.');
        }
        return load(name, '');
    }

    function takeAppContext(make) {
        const found = make(requireFrom(''), Buffer, process, console,
            timers.setTimeout, timers.clearTimeout, timers.setInterval, timers.clearInterval,
            timers.setImmediate, timers.clearImmediate);
        Object.assign(world, found);
        world.api = api;
    }

    world.console = console;
    if (settings.modules) { world.require = grantedRequire; }
    world.api = api;

    // Gives the error's text of a package that can't be loaded; it is raised where it is used.
    function preload(name) {
        try {
            load(name, '');
        } catch (error) {
            return describe(error);
        }
        return undefined;
    }

    // The way in. What is thrown on it ends the process, with its text as the last word.
    function enter(kind, value, number) {
        if (kind === 'describe') { return describe(value); }
        try {
            switch (kind) {
            case 'command': commandReceived(value); break;
            case 'timer': timerFired(number); break;
            case 'app_context': takeAppContext(value); break;
            case 'preload': return preload(value);
            }
        } catch (error) {
            ask('crash', describe(error), 0);
        }
        return undefined;
    }
    return enter;
})
