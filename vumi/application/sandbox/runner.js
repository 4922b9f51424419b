// The program that a worker starts to run an application's JavaScript.
//
// Knows the lines that it exchanges with the worker (one JSON object each, on stdin and stdout),
// compiling, modules on disk, timers, and when it ends. What the script sees is made by
// context.js inside the script's own context: from here nothing but strings, numbers and
// functions compiled *in that context* go in, and nothing but strings and numbers come out. The
// one function of this realm that is handed in (`ask`) is kept in a closure there and has no
// prototype that would lead back here.
//
// A script can patch every object of its context, those that context.js works with included. So
// context.js decides nothing: what a script may send, load and call is checked here, on the very
// text that is used afterwards, with functions that no script can reach.
//
// That is the first wall. The second is this realm itself: no code can be made of strings in it,
// what could do harm is deleted from it, and its intrinsics are frozen. The wall that has to hold
// is the process: Node's permission model, no network, limits, an empty environment, and one
// sandbox for each process.
//
// With isolation by context a message begins with the worker's `sandbox.begin`, which carries a
// secret, and ends with our `sandbox.done`, which repeats it. Between the script's done() and
// ours the session is closed (nothing that its context asks for is answered) and the event loop
// goes round once, so that the script's stack and all promise jobs are at their end. The context
// has nothing else by which it could run again: its timers are stopped, and the built-in objects
// that call back (FinalizationRegistry, Atomics.waitAsync, WebAssembly) were deleted.
//
// Started as: node FLAGS runner.js '{"isolation": "process", "folders": [...]}'
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const v8 = require('v8');
const { StringDecoder } = require('string_decoder');
const { isBuiltin } = require('module');

const proc = process;
const { Buffer } = require('buffer');
const options = JSON.parse(proc.argv[2] || '{}');
const CONTEXTS = options.isolation === 'context';
// Where packages are looked for, besides the node_modules above a module that asks.
const FOLDERS = options.folders || [];
const HEAP_SHARE = 0.75;
// What a context may send before it has its message, in UTF-16 units.
const EARLY_LIMIT = 64 * 1024;
const timers = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate };

// Node's own modules whose functions take and give plain data: the context has them by way of
// JSON. Those that context.js has itself are not here. All others are refused, unless the
// worker's config names them.
const PLAIN_MODULES = new Map([
    ['url', functionsOf(require('url'))],
    ['querystring', functionsOf(require('querystring'))],
    ['path', functionsOf(path.posix)],
]);
const OWN_MODULES = ['events', 'util', 'assert', 'buffer', 'timers'];

function functionsOf(module) {
    return new Map(Object.entries(module).filter(([_name, value]) => typeof value === 'function'));
}

function ownScript(name) {
    const source = fs.readFileSync(path.join(__dirname, name), 'utf8');
    return new vm.Script(source, { filename: 'vumi:' + name });
}

const contextScript = ownScript('context.js');
const libraryScript = ownScript('library.js');

// Output

function write(fd, text) {
    let data = Buffer.from(text, 'utf8');
    while (data.length) {
        try {
            data = data.subarray(fs.writeSync(fd, data));
        } catch (error) {
            if (error.code !== 'EAGAIN') { proc.reallyExit(1); }
        }
    }
}

let commandCount = 0;

function sendCommand(cmd, fields) {
    commandCount += 1;
    const command = { cmd: cmd, cmd_id: 'runner-' + commandCount, reply: false };
    write(1, JSON.stringify(Object.assign(command, fields)) + '\n');
}

function crash(text) {
    const lines = text.split('\n').filter(line => !line.includes(__dirname) && !/\(node:|at node:/.test(line));
    write(2, lines.join('\n') + '\n');
    proc.reallyExit(1);
}

// The line for a command of a script's. What the worker reads is what was looked at here.
function checkedLine(text) {
    const command = JSON.parse(text);
    const name = command !== null && typeof command === 'object' ? command.cmd : undefined;
    if (typeof name === 'string' && name.startsWith('sandbox.')) {
        throw new Error('No such command: ' + name);
    }
    return JSON.stringify(command) + '\n';
}

// What is before the first line's end, and what is after it.
function halves(text) {
    const end = text.indexOf('\n');
    return [text.slice(0, end), text.slice(end + 1)];
}

// Scripts and modules

// The source can't be compiled. The message is the whole text for the log.
const ownErrors = new WeakSet();

class ScriptError extends Error {
    constructor(text) {
        super(text);
        ownErrors.add(this);
    }
}

const compiled = new Map();
const MAX_COMPILED = 2000;

function compile(key, source, scriptOptions) {
    let script = compiled.get(key);
    if (script === undefined) {
        if (compiled.size >= MAX_COMPILED) { compiled.clear(); }
        try {
            script = new vm.Script(source, scriptOptions);
        } catch (error) {
            // Made in this realm: it must not be seen by the context, and its text is ours to read.
            throw new ScriptError(String(error.stack));
        }
        compiled.set(key, script);
    }
    return script;
}

const WRAPPER = ['(function (exports, require, module, __filename, __dirname, global, process, ' +
    'Buffer, console, setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, ' +
    'clearImmediate) {', '\n})'];

function compileModule(filename) {
    let script = compiled.get(filename);
    if (script === undefined) {
        const source = fs.readFileSync(filename, 'utf8').replace(/^\uFEFF/, '').replace(/^#!.*/, '');
        script = compile(filename, WRAPPER[0] + source + WRAPPER[1], {
            filename: filename, columnOffset: -WRAPPER[0].length,
        });
    }
    return script;
}

function isFile(name) {
    try { return fs.statSync(name).isFile(); } catch { return false; }
}

function readPackage(folder) {
    try {
        return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    } catch { return null; }
}

function asFile(name) {
    return [name, name + '.js', name + '.cjs', name + '.json'].find(isFile);
}

function asFolder(name) {
    const main = (readPackage(name) || {}).main;
    const found = typeof main === 'string' && main
        ? asFile(path.join(name, main)) || asFile(path.join(name, main, 'index')) : undefined;
    return found || asFile(path.join(name, 'index'));
}

// What "exports" of a package.json says for './subpath'; undefined if it says nothing.
function exported(target, depth) {
    if (typeof target === 'string') { return target; }
    if (target === null || typeof target !== 'object' || depth > 5) { return undefined; }
    for (const item of Array.isArray(target) ? target : []) {
        const found = exported(item, depth + 1);
        if (found) { return found; }
    }
    for (const condition of Object.keys(target)) {
        if (['require', 'node', 'default'].includes(condition)) {
            const found = exported(target[condition], depth + 1);
            if (found) { return found; }
        }
    }
    return undefined;
}

function asPackage(folder, name) {
    const parts = name.split('/');
    const packageName = parts.splice(0, name.startsWith('@') ? 2 : 1).join('/');
    const home = path.join(folder, packageName);
    const subpath = ['.', ...parts].join('/');
    const table = (readPackage(home) || {}).exports;
    if (table !== undefined && table !== null) {
        const entries = typeof table === 'object' && Object.keys(table).some(k => k.startsWith('.'))
            ? table : { '.': table };
        const target = exported(entries[subpath], 0);
        if (target) { return asFile(path.join(home, target)); }
    }
    const whole = path.join(home, ...parts);
    return (parts.length ? asFile(whole) : undefined) || asFolder(whole);
}

function resolve(name, parent) {
    if (/^\.{0,2}\//.test(name) || name === '.' || name === '..') {
        const target = path.resolve(parent ? path.dirname(parent) : FOLDERS[0] || '/', name);
        return asFile(target) || asFolder(target);
    }
    const folders = [];
    for (let here = parent && path.dirname(parent); here; here = path.dirname(here)) {
        if (path.basename(here) !== 'node_modules') { folders.push(path.join(here, 'node_modules')); }
        if (here === path.dirname(here)) { break; }
    }
    for (const folder of [...folders, ...FOLDERS]) {
        const found = asPackage(folder, name);
        if (found) { return found; }
    }
    return undefined;
}

// Node's permissions say the same, where it has them.
function isInFolders(filename) {
    return FOLDERS.some(folder => path.resolve(filename).startsWith(path.join(folder, '/')));
}

// One session: a context, and what goes on in it

let session = null;    // the one that a message is being handled in
let prepared = null;   // one that waits for its message
let secret = null;     // of the message that has begun, with isolation by context

class Session {
    constructor(init) {
        this.key = sessionKey(init);
        this.granted = Array.isArray(init.modules) ? init.modules.map(String) : [];
        this.raw = false;
        this.broken = null;
        this.closed = false;
        this.found = new Set();    // the files that it may load
        this.dirty = false;    // whether a failure was seen after its end
        this.early = '';
        this.timers = new Map();
        const contextOptions = {
            name: 'script', codeGeneration: { strings: true, wasm: false },
        };
        // A plain context is faster than one with an object of this realm behind its global; and
        // where there must be one, it must not lead back here by its prototype.
        const global = vm.constants && vm.constants.DONT_CONTEXTIFY
            ? vm.constants.DONT_CONTEXTIFY : Object.create(null);
        this.context = vm.createContext(global, contextOptions);
        const ask = (kind, text, number) => this.answer(kind, text, number);
        Object.setPrototypeOf(ask, null);
        Object.freeze(ask);
        const library = libraryScript.runInContext(this.context);
        const settings = JSON.stringify({
            own: OWN_MODULES,
            granted: Object.fromEntries(this.granted.map(name => [name, true])),
            modules: Array.isArray(init.modules),
            contexts: CONTEXTS,
        });
        this.enter = contextScript.runInContext(this.context)(ask, settings, library);
        if (typeof init.app_context === 'string') {
            const name = (init.filename || 'javascript') + ' (app_context)';
            this.run(init.app_context, name, 'app_context');
        }
        for (const name of this.granted) {
            // Ready before the message comes. One that can't be loaded fails when it is used.
            if (CONTEXTS || !isBuiltin(name)) { this.enter('preload', name, 0); }
        }
    }

    run(source, filename, kind) {
        // app_context is an expression, to which context.js hands what it may use.
        const text = kind === 'app_context'
            ? '(function (require, Buffer, process, console, setTimeout, clearTimeout, ' +
                'setInterval, clearInterval, setImmediate, clearImmediate) { return (' + source +
                '\n); })'
            : source;
        const script = compile(kind + '\n' + filename + '\n' + source, text, {
            filename: filename, columnOffset: 0,
        });
        if (kind === 'app_context') {
            this.enter('app_context', script.runInContext(this.context), 0);
        } else {
            script.runInContext(this.context);
        }
    }

    // Called from the context. Takes and gives strings and numbers, and functions of the context.
    // It must not throw: its errors would be of this realm.
    answer(kind, text, number) {
        if (this.closed || typeof kind !== 'string') { return undefined; }
        if (typeof text !== 'string' || typeof number !== 'number') { return undefined; }
        try {
            return this[`do_${kind}`](text, number);
        } catch (error) {
            return 'E' + String(error && error.message);
        }
    }

    do_send(text) {
        let line;
        try {
            line = checkedLine(text);
        } catch (error) {
            this.do_crash(String(error.message));
            return;
        }
        if (this === session) { write(1, line); return; }
        // Its message is yet to come: until then the worker would not know whose this is.
        this.early += line;
        if (this.early.length > EARLY_LIMIT) { this.do_crash('Too much output before a message.'); }
    }

    do_timer(kind, id) {
        const [name, delay] = kind.split(' ');
        if (!['Timeout', 'Interval', 'Immediate'].includes(name)) { return; }
        const fire = () => { this.enter('timer', '', id); };
        this.timers.set(id, [name, timers['set' + name](fire, Number(delay))]);
    }

    do_clear(_text, id) {
        const timer = this.timers.get(id);
        if (timer) {
            this.timers.delete(id);
            timers['clear' + timer[0]](timer[1]);
        }
    }

    do_over(_text, id) { this.timers.delete(id); }

    do_resolve(text) {
        const [parent, name] = halves(text);
        const bare = name.replace(/^node:/, '');
        if (isBuiltin(name)) {
            if (this.granted.includes(bare)) { return 'R' + bare; }
            return (PLAIN_MODULES.has(bare) ? 'B' : 'N') + bare;
        }
        const found = resolve(name, parent);
        if (!found || !isInFolders(found)) { return 'M'; }
        this.found.add(found);
        return 'P' + found;
    }

    do_load(filename) {
        return this.found.has(filename) ? compileModule(filename).runInContext(this.context) : undefined;
    }

    do_read(filename) {
        return this.found.has(filename) ? 'T' + fs.readFileSync(filename, 'utf8') : undefined;
    }

    do_raw(name) {
        // The config names it: the script gets Node's own module, and with it this realm.
        if (!this.granted.includes(name)) { return undefined; }
        this.raw = true;
        return require(name);
    }

    do_names(name) { return [...PLAIN_MODULES.get(name).keys()].join(' '); }

    do_plain(text) {
        const [name, key, args] = JSON.parse(text);
        return 'J' + JSON.stringify(PLAIN_MODULES.get(name).get(key)(...args));
    }

    // Bytes are told as texts with one character for each.
    do_bytes(text) {
        const [encoding, value] = halves(text);
        return 'T' + Buffer.from(value, encoding).toString('latin1');
    }

    do_text(text) {
        const [encoding, value] = halves(text);
        return 'T' + Buffer.from(value, 'latin1').toString(encoding);
    }

    do_encoding(text) { return Buffer.isEncoding(halves(text)[0]) ? 'Tyes' : 'Tno'; }

    do_crash(text) {
        // Before the message is there it is kept, to be told as what became of the message.
        if (this === session) { crash(text); }
        this.broken = text;
    }

    do_done() {
        if (this !== session) { this.do_crash('Done before there was a message.'); return; }
        if (!CONTEXTS) { proc.reallyExit(0); }
        this.close();
        // Not before the script's stack and its promise jobs are at their end. A script that does
        // not let them end has its own time run out.
        timers.setImmediate(() => { this.told(); });
    }

    told() {
        const done = { secret: secret, recycle: this.raw || this.dirty || tired() };
        session = secret = null;
        sendCommand('sandbox.done', done);
        const init = this.init;
        timers.setImmediate(() => { if (session === null) { prepare(init); } });
    }

    close() {
        this.closed = true;
        for (const [name, timer] of this.timers.values()) { timers['clear' + name](timer); }
        this.timers.clear();
        this.enter = () => {};
    }
}

function tired() {
    const heap = v8.getHeapStatistics();
    return heap.used_heap_size > HEAP_SHARE * heap.heap_size_limit;
}

function sessionKey(init) {
    return JSON.stringify([init.app_context, init.modules, init.filename]);
}

function prepare(init) {
    if (prepared !== null && prepared.key === sessionKey(init)) { return; }
    if (prepared !== null) { prepared.close(); }
    prepared = null;
    try {
        prepared = new Session(init);
        const filename = init.filename || 'javascript';
        compile('script\n' + filename + '\n' + init.javascript, String(init.javascript), {
            filename: filename,
        });
    } catch {
        // It is told when the message comes, as its error then.
        prepared = null;
    }
}

function initialize(init) {
    let opened = prepared;
    prepared = null;
    if (opened === null || opened.key !== sessionKey(init)) {
        if (opened !== null) { opened.close(); }
        opened = new Session(init);
    }
    session = opened;
    session.init = init;
    if (session.broken !== null) { crash(session.broken); }
    // Of many messages it would be told for each, and costs each something.
    if (!CONTEXTS) { sendCommand('log.info', { msg: 'Loading sandboxed code ...' }); }
    if (session.early) { write(1, session.early); }
    session.run(String(init.javascript), init.filename || 'javascript', 'script');
}

// Says which packages can't be loaded, and why. No message comes after that.
function check(init) {
    const opened = new Session({ modules: [] });
    opened.granted = init.modules.map(String);
    const problems = [];
    for (const name of opened.granted) {
        const problem = opened.enter('preload', name, 0);
        if (typeof problem === 'string') { problems.push([name, problem]); }
    }
    // As a text: a list of what scripts' errors say is nothing that others have to understand.
    sendCommand('sandbox.checked', { problems: JSON.stringify(problems) });
    proc.reallyExit(0);
}

// Input

function lineReceived(line) {
    if (line.trim() === '') { return; }
    if (session !== null) {
        session.enter('command', line, 0);
        return;
    }
    // Before that nothing else counts; least of all late replies to a script that is done, in which
    // `cmd` is what that script has asked for.
    const command = JSON.parse(line);
    if (command.reply) { return; }
    if (command.cmd === 'check') { check(command); }
    if (command.cmd === 'prepare') { prepare(command); }
    if (command.cmd === 'sandbox.begin') { secret = command.secret; }
    if (command.cmd === 'initialize' && (secret !== null || !CONTEXTS)) { initialize(command); }
}

// An error is not looked at here, as that may run code of the script's: a getter, or a trap of a
// proxy. Its text is made in its context, and of a context that is closed there is none.
function failed(error) {
    if (session !== null && session.closed) {
        session.dirty = true;
        return;
    }
    let text;
    try {
        text = ownErrors.has(error) ? error.message
            : session !== null && session.enter('describe', error, 0);
    } catch {
        text = undefined;
    }
    crash(typeof text === 'string' ? text : 'An error that can not be shown.');
}

const decoder = new StringDecoder('utf8');
let partial = '';

function dataReceived(data) {
    const lines = (partial + decoder.write(data)).split('\n');
    partial = lines.pop();
    for (const line of lines) {
        try { lineReceived(line); } catch (error) { failed(error); }
    }
}

proc.stdin.on('data', dataReceived);
proc.stdin.on('end', () => proc.reallyExit(0));
proc.on('uncaughtException', failed);
proc.on('unhandledRejection', failed);

// The second wall

function freezeIntrinsics(more) {
    const seen = new Set();
    const freeze = (value) => {
        if (value === null || seen.has(value)) { return; }
        if (typeof value !== 'object' && typeof value !== 'function') { return; }
        seen.add(value);
        Object.freeze(value);
        for (const key of Reflect.ownKeys(value)) {
            const property = Reflect.getOwnPropertyDescriptor(value, key);
            for (const part of [property.value, property.get, property.set]) { freeze(part); }
        }
        freeze(Object.getPrototypeOf(value));
    };
    // What the language itself has, in this version: a new context has nothing else.
    for (const name of vm.runInNewContext('Object.getOwnPropertyNames(globalThis)')) {
        if (!['globalThis', 'console'].includes(name)) { freeze(globalThis[name]); }
    }
    // What has no name, and is had from a value.
    const values = [
        [].values(), new Map().values(), new Set().values(), ''[Symbol.iterator](),
        'a'.matchAll(/a/g), function* () {}, async function () {}, async function* () {},
        (function* () {})(), (async function* () {})(), Promise.resolve(),
        (function () { return arguments; })(), ...more,
    ];
    if (typeof Iterator === 'function') { values.push([].values().map(one => one), Iterator.from({})); }
    if (Intl.Segmenter) {
        const segments = new Intl.Segmenter().segment('a');
        values.push(segments, segments[Symbol.iterator]());
    }
    for (const value of values) { freeze(value); }
}

// Not all that Node adds: its own modules use some of it.
for (const key of ['process', 'eval', 'fetch', 'WebSocket', 'EventSource', 'WebAssembly']) {
    delete globalThis[key];
}
// Package path.posix would tell a script where the worker runs.
proc.cwd = () => '/';

// The one value of this realm that Node gives to every script: the error of import(). All that can
// be had from it is frozen before there is a script.
function start(error) {
    freezeIntrinsics([error]);
    sendCommand('log.info', { msg: 'Starting sandbox ...' });
}

new vm.Script("import('fs')").runInThisContext().then(start, start);
