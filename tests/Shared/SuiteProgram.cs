using MicroVm.Tests.Shared;

// The entry point of a suite: a part of a test in a process of its own, or the whole suite where there is no SDK.
return args is [Child.Word, .. string[] part] ? Child.Enter(part) : Suite.Run(args);
