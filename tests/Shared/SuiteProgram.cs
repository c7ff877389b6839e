// The entry point of a suite that also runs in the lab, see Suite.
return MicroVm.Tests.Shared.Suite.Run(args);
