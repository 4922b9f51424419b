"""Scripts that try to get out, or to take others down: what each of them gets.

With ``VUMI_UPDATE_DOCS=1`` the results are written to ``docs/operations/sandbox-escapes.rst``.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from twisted.trial.unittest import SkipTest

from vumi.application.sandbox.javascript import JsFileSandbox
from vumi.application.sandbox.node import FIRST_WITH_PERMISSIONS
from vumi.application.sandbox.tests.helpers import RESOURCES, require_node
from vumi.application.tests.helpers import ApplicationHelper
from vumi.tests.helpers import VumiTestCase

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from vumi.application.sandbox.protocol import SandboxProtocol

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[4] / "docs" / "operations" / "sandbox-escapes.rst"
VICTIMS = 3

SCRIPT = """
var seen = [typeof leaked, typeof {}.polluted, [].join.call(['a', 'b'])];
try { seen.push(require('shared').count); } catch (error) { seen.push('none'); }
function tell(text) {
    api.request('outbound.reply_to', {content: String(text), in_reply_to: api.message},
        function () { api.done(); });
}
function attempt(command) {
    ATTACK
}
api.on_inbound_message = function (command) {
    api.message = command.msg.message_id;
    if (command.msg.content === 'attack') {
        try { attempt.call(this, command); } catch (error) { tell(error.name); }
    } else {
        tell('fine ' + seen.join());
    }
};
"""
PACKAGES = {
    "shared/index.js": "exports.count = 0; exports.file = __filename;"
    "exports.later = function () { return require('./later'); };",
    "shared/later.js": "exports.loads = typeof require;",
    "hidden/index.js": "exports.secret = 'the secret';",
}
VICTIM_SEES = "fine undefined,undefined,a,b,0"

#: Walks all that a script can reach, and looks for what is of another realm.
WALK = """
    var found = [], seen = new Set(), stack = [globalThis, api, command, arguments, tell];
    try { null.x; } catch (error) { stack.push(error); }
    stack.push(later(function () {}, 1), require('shared'), require);
    while (stack.length) {
        var value = stack.pop();
        if (value === null || !/object|function/.test(typeof value) || seen.has(value)) continue;
        seen.add(value);
        var root = value, depth = 0;
        while (Object.getPrototypeOf(root) !== null && depth++ < 50) {
            root = Object.getPrototypeOf(root);
        }
        if (root !== Object.prototype && depth > 0) found.push(value);
        stack.push(Object.getPrototypeOf(value));
        Reflect.ownKeys(value).forEach(function (key) {
            var own = Object.getOwnPropertyDescriptor(value, key);
            stack.push(own.value, own.get, own.set);
        });
    }
    tell('walked ' + (seen.size > 500) + ' foreign ' + found.length);
"""

#: Does THEN when the runner has been told that the message is done.
AFTER_THE_END = """
    var get = Map.prototype.get, armed = 0, done = api.done;
    api.done = function () { armed = 1; done(); };
    Map.prototype.get = function (key) {
        var found = get.call(this, key);
        if (found && found.callback && armed && armed++ === LAST) {
            var callback = found.callback;
            found.callback = function () {
                callback();
                THEN
            };
        }
        return found;
    };
    api.done();
"""


@dataclass(frozen=True)
class Escape:
    """Something that a script tries.

    :param title: What, for the table.
    :param attack: The JavaScript that tries it.
    :param gets: What comes of it, as a regular expression: the reply's text, or how the script's
        end is called.
    :param says: The same for the table, in words.
    :param hangs: Whether it goes on until it is ended, so that others must be served meanwhile.
    :param config: The worker's options for it, such as modules that an operator hands over.
    :param permissions: Whether it is Node's permissions that hold it, which came with Node.js 20.
    :param isolations: Where it is tried.
    """

    title: str
    attack: str
    gets: str
    says: str
    hangs: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    permissions: bool = False
    isolations: tuple[str, ...] = ("process", "context")

    @property
    def name(self) -> str:
        """As part of a test's name."""
        return re.sub(r"\W+", "_", self.title).strip("_").lower()


ESCAPES = [
    Escape("process", "tell(typeof process);", "undefined", "not there"),
    Escape("require of what the config does not name", "require('fs');", "Error", "refused"),
    Escape(
        "constructor chain from this",
        "tell(typeof this.constructor.constructor('return process')());",
        "ReferenceError",
        "its own realm, without process",
    ),
    Escape(
        "constructor chain from api and from a reply",
        """
        this.request('kv.get', {key: 'a'}, function (reply) {
            var makers = [api.request, reply.constructor, this.done, api.emitter.on];
            tell(makers.map(function (one) {
                try { return one.constructor('return typeof process')(); }
                catch (error) { return error.name; }
            }).join());
        });""",
        "undefined,undefined,undefined,undefined",
        "its own realm, without process",
    ),
    Escape(
        "walk over all objects in reach",
        WALK,
        "walked true foreign 0",
        "none of another realm",
        config={"app_context": "{later: setTimeout}"},
    ),
    Escape(
        "import()",
        "import('fs').then(function () { tell('imported'); }, function () { tell('refused'); });",
        "refused",
        "refused",
    ),
    Escape(
        "constructor chain from the error of import()",
        """
        import('fs').catch(function (error) {
            try { tell(error.constructor.constructor('return typeof process')()); }
            catch (error) { tell(error.name); }
        });""",
        "EvalError|undefined",
        "the other realm, which makes no code of texts",
    ),
    Escape(
        "call sites of a stack trace",
        """
        Error.prepareStackTrace = function (error, sites) { return sites; };
        var found = [];
        new Error().stack.forEach(function (site) {
            [site.getThis(), site.getFunction()].forEach(function (one) {
                if (!one) return;
                try {
                    if (one.constructor.constructor('return typeof process')() !== 'undefined') {
                        found.push(site.getFileName());
                    }
                } catch (error) { found.push(error.name); }
            });
        });
        tell('found ' + found.join());""",
        "found ",
        "nothing of the runner's",
    ),
    Escape(
        "stack overflow inside the runner",
        """
        var found = [];
        function dig() {
            try { dig(); } catch (error) { found.push(error); }
            try { later(function () {}, 0); } catch (error) { found.push(error); }
        }
        try { dig(); } catch (error) { found.push(error); }
        found = found.filter(function (error) { return !(error instanceof Error); });
        tell('foreign ' + found.length);
        """,
        "foreign 0",
        "only errors of its own realm",
        config={"app_context": "{later: setTimeout}"},
    ),
    Escape(
        "callers by arguments.callee.caller",
        "tell(String(arguments.callee.caller.caller));",
        "null",
        "nothing beyond the script",
    ),
    Escape("endless loop", "for (;;) {}", "timeout", "ended after its time", hangs=True),
    Escape(
        "endless chain of promises",
        "(function again() { Promise.resolve().then(again); })();",
        "timeout",
        "ended after its time",
        hangs=True,
    ),
    Escape(
        "regular expression that takes for ever",
        "/^(a+)+$/.test('a'.repeat(100) + 'b');",
        "timeout",
        "ended after its time",
        hangs=True,
    ),
    Escape("never done", "", "timeout", "ended after its time", hangs=True),
    Escape(
        "memory bomb of objects",
        "var a = []; for (;;) { a.push(new Array(1000).fill({})); }",
        "crashed",
        "ended by its heap's limit",
    ),
    Escape(
        "memory bomb of buffers",
        "var a = []; for (;;) { a.push(new Uint8Array(16777216).fill(1)); }",
        "RangeError|crashed",
        "stopped by its address space",
    ),
    Escape(
        "output flood",
        """
        (function again() {
            api.request('log.info', {msg: new Array(50000).join('x')});
            api.request('kv.get', {key: 'a'}, again);
        })();""",
        "output",
        "ended after 1 MiB",
    ),
    Escape(
        "flood of requests",
        """
        for (var n = 0; n < 5000; n++) {
            api.request('kv.get', {key: 'a'}, function () {
                if (--n === 0) tell('all answered');
            });
        }""",
        "all answered",
        "answered, 100 at a time",
    ),
    Escape(
        "replies that are asked for and not read",
        """
        api.request('kv.set', {key: 'big', value: new Array(200000).join('x')}, function () {
            for (var n = 0; n < 3000; n++) {
                api.request('kv.get', {key: 'big'}, function () { for (;;) {} });
            }
        });""",
        "unread",
        "ended when 16 MiB wait for it",
    ),
    Escape(
        "fork bomb",
        "require('child_process').fork('/proc/self/exe');",
        "Error",
        "refused",
    ),
    Escape(
        "fork bomb, with child_process handed over by the config",
        """
        try { for (;;) { require('child_process').spawn('/bin/sleep', ['9']); } }
        catch (error) { tell(error.code); }""",
        "ERR_ACCESS_DENIED",
        "denied by Node.js",
        permissions=True,
        config={"modules": ["shared", "child_process"]},
    ),
    Escape(
        "worker threads, with worker_threads handed over",
        """
        try { new (require('worker_threads').Worker)('for (;;) {}', {eval: true}); tell('runs'); }
        catch (error) { tell(error.code); }""",
        "ERR_ACCESS_DENIED",
        "denied by Node.js",
        permissions=True,
        config={"modules": ["shared", "worker_threads"]},
    ),
    Escape(
        "/etc/passwd, with fs handed over",
        """
        try { tell(require('fs').readFileSync('/etc/passwd')); }
        catch (error) { tell(error.code); }""",
        "ERR_ACCESS_DENIED",
        "denied by Node.js",
        permissions=True,
        config={"modules": ["shared", "fs"]},
    ),
    Escape(
        "/etc/passwd by require and by a package's path",
        """
        var names = ['/etc/passwd', '../../../../etc/passwd', 'shared/../../../../etc/passwd',
            '/proc/self/environ'];
        tell(names.map(function (name) {
            try { return require(name) && 'read'; } catch (error) { return error.code; }
        }).join());""",
        ",".join(["MODULE_NOT_FOUND"] * 4),
        "refused",
    ),
    Escape(
        "/etc/passwd by a require that loads anything",
        """
        tell(['/etc/passwd', '/proc/self/environ', '/etc/hostname'].map(function (name) {
            try { return load(name) && 'read'; } catch (error) { return error.code; }
        }).join());""",
        ",".join(["MODULE_NOT_FOUND"] * 3),
        "refused",
        config={"app_context": "{load: require}"},
    ),
    Escape(
        "the other realm's Function, with events handed over",
        """
        var realm = require('events').EventEmitter.constructor;
        try { tell(realm('return typeof process')()); } catch (error) { tell(error.name); }""",
        "EvalError|undefined",
        "its realm, which makes no code of texts",
        config={"modules": ["shared", "events"]},
    ),
    Escape(
        "the worker's network, with net handed over",
        """
        require('net').connect(PORT, '127.0.0.1')
            .on('connect', function () { tell('connected'); })
            .on('error', function (error) { tell(error.code); });""",
        "E(NETUNREACH|ADDRNOTAVAIL|RR_ACCESS_DENIED)|ERR_ACCESS_DENIED",
        "no network there",
        config={"modules": ["shared", "net"], "network": "none"},
    ),
    Escape(
        "prototypes changed for the next message",
        """
        leaked = 1;
        Object.prototype.polluted = 'yes';
        Array.prototype.join = function () { return 'poisoned'; };
        require('shared').count = 'poisoned';
        tell('tried');""",
        "tried",
        "the next message sees nothing of it",
    ),
    Escape(
        "the other realm's prototypes changed for the next message, with events handed over",
        """
        var realm = Object.getPrototypeOf(Object.getPrototypeOf(require('events').prototype))
            || Object.getPrototypeOf(require('events').prototype);
        realm.polluted = 'yes';
        tell('stays ' + realm.polluted);""",
        "stays undefined",
        "frozen",
        config={"modules": ["shared", "events"]},
    ),
    Escape(
        "timers that outlive their message",
        """
        every(function () { for (;;) {} }, 500);
        tell('left');""",
        "left",
        "stopped with it",
        config={"app_context": "{every: setInterval}"},
    ),
    Escape(
        "the runner's own commands",
        "this.request('sandbox.done', {});",
        "crashed",
        "refused, and the script ended",
    ),
    Escape(
        "the runner's own commands, by toJSON",
        """
        this.request('log.info', {toJSON: function () {
            return {cmd: 'sandbox.done', cmd_id: 'x', reply: false};
        }});""",
        "crashed",
        "refused, and the script ended",
    ),
    Escape(
        "the runner's own commands, by toJSON of all objects",
        """
        Object.prototype.toJSON = function () {
            return {cmd: 'sandbox.done', cmd_id: 'x', reply: false};
        };
        this.log_info('hi');""",
        "crashed",
        "refused, and the script ended",
    ),
    Escape(
        "the runner's own commands, by a proxy",
        """
        this.request('log.info', new Proxy({}, {get: function (target, key) {
            return key === 'cmd' ? 'sandbox.done' : target[key];
        }}));""",
        "crashed",
        "refused, and the script ended",
    ),
    Escape(
        "the runner's own commands, with all that could check them patched",
        """
        RegExp.prototype.test = RegExp.prototype.exec = function () { return null; };
        String.prototype.startsWith = function () { return false; };
        Array.prototype.includes = function () { return true; };
        JSON.parse = JSON.stringify = function () { return '{}'; };
        this.request('sandbox.done', {secret: ''});""",
        "crashed",
        "refused, and the script ended",
    ),
    Escape(
        "a command whose name is an object, one without a name, and lines in a text",
        """
        var named = {toString: function () { return 'sandbox.done'; }};
        this.request(named, {});
        this.request('log.info', {msg: 'a\\n{"cmd": "sandbox.done", "cmd_id": "1"}\\u2028\\r\\n'});
        this.request('log.info', JSON.parse('{"msg": "", "__proto__": {"cmd": "sandbox.done"}}'));
        Object.defineProperty(Object.prototype, 'cmd', {
            get: function () { return 'sandbox.done'; }, set: function () {}, configurable: true,
        });
        this.request('log.info', {msg: 'hi'});
        delete Object.prototype.cmd;
        tell('sent');""",
        "sent",
        "taken for text",
    ),
    Escape(
        "values nested too deeply to be read",
        """
        var deep = [];
        for (var n = 0; n < 3000; n++) deep = [deep];
        this.request('kv.get', {key: deep});
        this.request('log.info', {msg: 'hi', more: deep});
        tell('sent');""",
        "sent",
        "refused by the worker",
    ),
    Escape(
        "the end of its message, written by fs that the config hands over",
        """
        var end = {cmd: 'sandbox.done', cmd_id: 'x', reply: false, secret: 'x', recycle: false};
        require('fs').writeSync(1, JSON.stringify(end) + String.fromCharCode(10));
        tell('sent');""",
        "sent|crashed|Error",
        "worth nothing without the message's secret",
        config={"modules": ["shared", "fs"]},
    ),
    Escape(
        "replies that reach the runner after the end and look like its commands",
        """
        var done = api.done;
        api.done = function () {
            api.request('initialize', {javascript: 'for (;;) {}'});
            api.request('prepare', {javascript: 'for (;;) {}'});
            api.request('sandbox', {});
            done();
        };
        tell('left');""",
        "left",
        "not taken for any",
    ),
    Escape(
        "running on after its end",
        "api.done(); for (;;) {}",
        "timeout",
        "ended after its time",
        hangs=True,
    ),
    Escape(
        "running on after its end, by Map.prototype.get",
        AFTER_THE_END.replace("THEN", "for (;;) {}"),
        "timeout",
        "its end is not told; ended after its time",
        hangs=True,
    ),
    Escape(
        "promise jobs after its end",
        AFTER_THE_END.replace("THEN", "(function again() { Promise.resolve().then(again); })();"),
        "timeout",
        "its end is not told; ended after its time",
        hangs=True,
    ),
    Escape(
        "an async iterator after its end",
        AFTER_THE_END.replace(
            "THEN",
            """
            (async function () {
                for await (var one of (async function* () { for (;;) yield 1; })()) {}
            })();""",
        ),
        "timeout",
        "its end is not told; ended after its time",
        hangs=True,
    ),
    Escape(
        "a thenable after its end",
        AFTER_THE_END.replace("THEN", "Promise.resolve({then: function () { for (;;) {} }});"),
        "timeout",
        "its end is not told; ended after its time",
        hangs=True,
    ),
    Escape(
        "requests and timers after its end",
        AFTER_THE_END.replace(
            "THEN",
            """
            Promise.resolve().then(function () {
                api.request('kv.set', {key: 'a', value: 'late'});
                later(function () { for (;;) {} }, 0);
                api.done();
            });""",
        ).replace("api.done();\n", "tell('left');\n"),
        "left",
        "not done",
        config={"app_context": "{later: setTimeout}"},
        isolations=("context",),
    ),
    Escape(
        "an error after its end whose stack is a getter",
        AFTER_THE_END.replace(
            "THEN",
            """
            Promise.reject({get stack() { for (;;) {} }});
            Promise.reject(new Proxy(new Error(), {getPrototypeOf: function () { for (;;) {} }}));
            """,
        ).replace("api.done();\n", "tell('left');\n"),
        "left",
        "not looked at",
        isolations=("context",),
    ),
    Escape(
        "FinalizationRegistry, WeakRef, Atomics.waitAsync, SharedArrayBuffer, WebAssembly",
        """
        tell([typeof FinalizationRegistry, typeof WeakRef, typeof Atomics,
            typeof SharedArrayBuffer, typeof WebAssembly, typeof queueMicrotask].join());""",
        ",".join(["undefined"] * 6),
        "not there",
        isolations=("context",),
    ),
    Escape(
        "Atomics.wait on a SharedArrayBuffer",
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
        "timeout",
        "ended after its time",
        hangs=True,
        isolations=("process",),
    ),
    Escape(
        "WebAssembly",
        "tell(typeof WebAssembly);",
        "undefined",
        "not there",
    ),
    Escape(
        "Error.prepareStackTrace for the runner's text of an error",
        """
        Error.prepareStackTrace = function () {
            return {toString: function () { throw null; }, split: function () { throw null; }};
        };
        Promise.reject(new Error('broken'));""",
        "crashed",
        "ended, without the text",
    ),
    Escape(
        "a thrown proxy whose traps throw",
        """
        var no = function () { throw new Proxy({}, {}); };
        Promise.reject(new Proxy(function () {}, {get: no, getPrototypeOf: no, has: no}));""",
        "crashed",
        "ended, without the text",
    ),
    Escape(
        "a stack getter that never returns",
        "Promise.reject({get stack() { for (;;) {} }});",
        "timeout",
        "ended after its time",
        hangs=True,
    ),
    Escape(
        "values of the runner, by patched call and apply and setters on Object and Array",
        """
        var found = [], call = Function.prototype.call, apply = Reflect.apply;
        var note = function (value) {
            if (value === null || !/object|function/.test(typeof value)) return;
            for (var root = value; Object.getPrototypeOf(root) !== null;) {
                root = Object.getPrototypeOf(root);
            }
            if (root !== Object.prototype && root !== value) found.push(value);
        };
        Function.prototype.call = function () {
            note(this);
            for (var n = 0; n < arguments.length; n++) note(arguments[n]);
            return apply(call, this, arguments);
        };
        ['0', 'callback', 'args', 'again', 'id', 'secret', 'cmd_id'].forEach(function (key) {
            var all = key === '0' ? Array.prototype : Object.prototype;
            Object.defineProperty(all, key, {configurable: true, set: function (value) {
                note(value);
                Object.defineProperty(this, key, {
                    value: value, writable: true, enumerable: true, configurable: true,
                });
            }});
        });
        later(function () {}, 1);
        try { require('nothing'); } catch (error) { note(error); }
        api.request('kv.get', {key: 'a'}, function () { tell('foreign ' + found.length); });""",
        "foreign 0",
        "none",
        config={"app_context": "{later: setTimeout}"},
    ),
    Escape(
        "stack overflow inside require",
        """
        var found = [];
        function dig() {
            try { dig(); } catch (error) { found.push(error); }
            try { require('nothing'); } catch (error) { found.push(error); }
        }
        try { dig(); } catch (error) { found.push(error); }
        found = found.filter(function (error) { return !(error instanceof Error); });
        tell('foreign ' + found.length);""",
        "foreign 0",
        "only errors of its own realm",
    ),
    Escape(
        "Symbol.species and iterators patched",
        """
        Object.defineProperty(Array, Symbol.species, {get: function () {
            return function () { throw new Error('species'); };
        }});
        var iterator = Array.prototype[Symbol.iterator];
        Array.prototype[Symbol.iterator] = function () {
            return iterator.call(this);
        };
        tell('tried');""",
        "tried",
        "its own ones",
    ),
    Escape(
        "a package that the config does not name, with all that could check it patched",
        """
        Array.prototype.includes = function () { return true; };
        Object.prototype.hidden = true;
        Map.prototype.has = function () { return true; };
        String.prototype.startsWith = function () { return true; };
        tell(require('hidden').secret);""",
        "Error",
        "refused",
    ),
    Escape(
        "a package that the config does not name, by Array.prototype.toJSON",
        """
        Array.prototype.toJSON = function () { return ['hidden', '']; };
        var found = require('shared');
        delete Array.prototype.toJSON;
        tell('got ' + found.secret);""",
        "got undefined",
        "the one it asks for",
    ),
    Escape(
        "a package's own require, by patched methods and setters",
        """
        var got = [], apply = Reflect.apply, call = Function.prototype.call;
        var note = function (value) { if (typeof value === 'function') got.push(value); };
        Function.prototype.call = function () {
            for (var n = 0; n < arguments.length; n++) note(arguments[n]);
            return apply(call, this, arguments);
        };
        Reflect.apply = function (one, that, given) {
            for (var n = 0; n < given.length; n++) note(given[n]);
            return apply(one, that, given);
        };
        ['get', 'set'].forEach(function (name) {
            var method = Map.prototype[name];
            Map.prototype[name] = function (key, value) {
                if (value && value.require) note(value.require);
                return apply(method, this, arguments);
            };
        });
        ['require', 'cache', 'children', 'filename', LATER].forEach(function (key) {
            [Object.prototype, Function.prototype].forEach(function (all) {
                Object.defineProperty(all, key, {configurable: true, set: function (value) {
                    note(this);
                    note(value);
                    if (value) note(value.require);
                }});
            });
        });
        var iterator = Array.prototype[Symbol.iterator];
        Array.prototype[Symbol.iterator] = function () {
            for (var n = 0; n < this.length; n++) note(this[n]);
            return apply(iterator, this, []);
        };
        require('shared').later();
        tell('got ' + got.map(function (one) {
            try { return one('hidden').secret; } catch (error) { return ''; }
        }).join(''));""".replace("LATER", "require('shared').file.replace('index', 'later')"),
        "got ",
        "not given away",
    ),
    Escape(
        "a file that was not asked for, by patched String",
        """
        var made = String, slice = made.prototype.slice;
        var other = require('shared').file.replace('shared', 'hidden');
        var found = {};
        made.prototype.slice = function () { return other; };
        try { found = require('shared'); } catch (error) {}
        String = function () { return {slice: function () { return other; }}; };
        try { if (!found.secret) found = require('shared'); } catch (error) {}
        String = made;
        made.prototype.slice = slice;
        tell('got ' + found.secret);""",
        "got undefined",
        "not loaded",
    ),
    Escape(
        "built-in methods of the other realm patched, by the error of import()",
        """
        import('fs').catch(function (error) {
            var root = error;
            while (Object.getPrototypeOf(root)) root = Object.getPrototypeOf(root);
            var other = root.constructor, list = other.keys({a: 1}), text = other.name;
            var found = [list, list.values(), list.entries(), list.keys(), error, error.toString];
            found = found.concat(found.map(other.getPrototypeOf));
            found = found.concat(found.map(other.getPrototypeOf)).filter(function (one) {
                return one !== null && one !== Object.prototype;
            });
            found.forEach(function (one) {
                Reflect.ownKeys(one).concat('polluted').forEach(function (key) {
                    var own = Object.getOwnPropertyDescriptor(one, key);
                    if (own && typeof own.value !== 'function') return;
                    try { one[key] = function () { for (;;) {} }; } catch (refused) {}
                });
            });
            tell('foreign ' + (other !== Object) + ' polluted ' + typeof root.polluted);
        });""",
        "foreign true polluted undefined",
        "frozen",
    ),
    Escape(
        "where the worker runs",
        "tell([load('path').resolve('x'), load('url').pathToFileURL('x')].join());",
        "/x,file:///x",
        "the root folder",
        config={"app_context": "{load: require}"},
    ),
    Escape(
        "functions of the runner by Array.prototype.toJSON",
        """
        var url = load('url');
        Array.prototype.toJSON = function () {
            return this.length < 3 ? this : ['constructor', 'constructor', ['return process']];
        };
        tell(typeof url.parse('http://x/'));""",
        "Error",
        "refused",
        config={"app_context": "{load: require}"},
    ),
    Escape(
        "all built-in prototypes patched for the next message",
        """
        [Map, Set, RegExp, Promise, String, Function, Array, Error].forEach(function (made) {
            Object.getOwnPropertyNames(made.prototype).forEach(function (name) {
                if (/^(constructor|call|push|join|forEach|catch)$/.test(name)) return;
                try {
                    if (typeof made.prototype[name] !== 'function') return;
                } catch (error) { return; }
                var found = made.prototype[name];
                made.prototype[name] = function () {
                    leaked = this;
                    return Reflect.apply(found, this, arguments);
                };
            });
        });
        tell('tried');""",
        "tried",
        "the next message sees nothing of it",
    ),
    Escape(
        "another sandbox's keys",
        """
        var tries = ['secret', 'other#secret', '../other/secret', 'sandboxes#other#secret'];
        var got = [];
        tries.forEach(function (key) {
            api.request('kv.get', {key: key, sandbox_id: 'other'}, function (reply) {
                got.push(reply.value);
                if (got.length === tries.length) tell('got ' + got.join(''));
            });
        });""",
        "got ",
        "not found",
    ),
    Escape(
        "a reply to another user's message",
        """
        this.request('outbound.reply_to', {content: 'phishing', in_reply_to: 'victim-0'},
            function (reply) { tell(reply.success); });""",
        "false",
        "refused",
    ),
]


class TestEscapes(VumiTestCase):
    timeout = 120
    protocols: list[SandboxProtocol]
    results: ClassVar[dict[tuple[str, str], str]] = {}

    def setUp(self) -> None:
        self.node = require_node()
        self.app_helper = self.add_helper(ApplicationHelper(JsFileSandbox))
        self.folder = Path(self.mktemp()).resolve()
        for path, text in PACKAGES.items():
            file = self.folder / "node_modules" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    async def start(self, escape: Escape, isolation: str) -> Any:
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        attack = escape.attack.replace("PORT", str(listener.getsockname()[1]))
        # By process there is no timer between what is asked for last and the end.
        attack = attack.replace("LAST", "2" if isolation == "context" else "1")
        path = self.folder / "app.js"
        path.write_text(SCRIPT.replace("ATTACK", attack))
        worker = await self.app_helper.get_application({
            "sandbox": RESOURCES,
            "sandbox_id": "attacker",
            "executable": self.node,
            "javascript_file": str(path),
            "isolation": isolation,
            "pool_size": 2,
            "timeout": 60,
            "heap_limit": 32,
            "modules": ["shared"],
            **escape.config,
        })  # fmt: skip
        worker.resources.resources["kv"].values["other", "secret"] = "the secret"
        make, self.protocols = worker.create_sandbox_protocol, []

        def noted(api: Any) -> SandboxProtocol:
            self.protocols.append(make(api))
            return self.protocols[-1]

        self.patch(worker, "create_sandbox_protocol", noted)
        return worker

    def replies_to(self, user: str) -> list[str]:
        outbound = self.app_helper.get_dispatched_outbound()
        return [str(msg["content"]) for msg in outbound if msg["to_addr"] == user]

    def dispatch(self, content: str, user: str, **fields: Any) -> Deferred[Any]:
        handled: Deferred[Any] = self.app_helper.make_dispatch_inbound(
            content, from_addr=user, **fields
        )
        return handled

    async def run_escape(self, escape: Escape, isolation: str) -> None:
        worker = await self.start(escape, isolation)
        if escape.permissions and worker._node_versions[self.node] < FIRST_WITH_PERMISSIONS:
            raise SkipTest("This Node.js has no permissions.")
        work = [self.dispatch("attack", "attacker")]
        for number in range(VICTIMS):
            work.append(self.dispatch("hi", f"victim{number}", message_id=f"victim-{number}"))
        if escape.hangs:
            # They have their answers while the attack goes on.
            _ = await self.app_helper.wait_for_dispatched_outbound(VICTIMS)
            self.assertEqual(worker.sandbox_counters.by_ending[escape.gets], 0)
            # Its time is over now.
            timer = self.protocols[0]._timer
            assert timer is not None
            timer.reset(0)
        for done in work:
            _ = await done
        for number in range(VICTIMS):
            # And those after it too.
            await self.dispatch("hi", f"victim{number}", message_id=f"victim-{number}-again")
        self.judge(escape, isolation, worker)

    def judge(self, escape: Escape, isolation: str, worker: Any) -> None:
        for number in range(VICTIMS):
            self.assertEqual(self.replies_to(f"victim{number}"), [VICTIM_SEES] * 2)
        endings = {
            ending: count
            for ending, count in worker.sandbox_counters.by_ending.items()
            if ending != "done" and count
        }
        got = [*self.replies_to("attacker"), *endings]
        self.assertEqual(len(got), 1, got)
        self.assertRegex(got[0], f"^({escape.gets})$")
        for secret in ("the secret", "root:"):
            self.assertNotIn(secret, got[0])
        self.flushLoggedErrors()
        self.results[escape.title, isolation] = escape.says

    async def test_the_walk_would_see_what_is_of_another_realm(self) -> None:
        leak = "stack.push(later(function () {}, 1), require('events'), "
        attack = WALK.replace("stack.push(later(function () {}, 1), ", leak)
        config = {"app_context": "{later: setTimeout}", "modules": ["shared", "events"]}
        await self.start(Escape("", attack, "", "", config=config), "process")
        await self.dispatch("attack", "attacker")
        [reply] = self.replies_to("attacker")
        self.assertRegex(reply, r"^walked true foreign [1-9]")


def _test(escape: Escape, isolation: str) -> Any:
    async def test(self: TestEscapes) -> None:
        await self.run_escape(escape, isolation)

    return test


for _escape in ESCAPES:
    for _isolation in _escape.isolations:
        _name = f"test_{_isolation}_{_escape.name}"
        setattr(TestEscapes, _name, _test(_escape, _isolation))


class TestTable(VumiTestCase):
    """Runs last in this file: the table of what was seen."""

    def test_the_table_in_the_docs_has_all_escapes(self) -> None:
        if os.environ.get("VUMI_UPDATE_DOCS"):
            self.assertEqual(
                len(TestEscapes.results), sum(len(escape.isolations) for escape in ESCAPES)
            )
            DOCS.write_text(table())
        text = DOCS.read_text()
        self.assertEqual([e.title for e in ESCAPES if e.title not in text], [])


def table() -> str:
    """What was seen, as an RST table."""
    rows: list[tuple[str, ...]] = [
        ("what a script tries", "what it gets", "by process", "by context", "others")
    ]
    for escape in ESCAPES:
        held = [
            "held" if (escape.title, isolation) in TestEscapes.results else "-"
            for isolation in ("process", "context")
        ]
        rows.append((escape.title, escape.says, *held, "served"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    origin = ".. Written by vumi/application/sandbox/tests/test_escapes.py"
    return "\n".join([origin, "", rule, lines[0], rule, *lines[1:], rule, ""])
