using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

/// <summary>One shipped tag. <see cref="Elements"/> is 1 for a plain register, 0 for a bank.</summary>
internal sealed record LockedTag(uint Tag, string Name, int Width, int Elements, bool Retired);

/// <summary>One shipped snapshot layout.</summary>
internal sealed record LockedBlock(string Tag, int Version, Pos Pos, EquatableArray<LockedTag> Tags);

/// <summary>devices.def/snapshot.lock: every tag that was ever shipped.</summary>
internal sealed record SnapshotLock(string Path, EquatableArray<LockedBlock> Blocks, EquatableArray<DiagnosticInfo> Diagnostics);
