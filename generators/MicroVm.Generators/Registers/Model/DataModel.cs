using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

/// <summary>A member of a structure in guest memory. <see cref="Count"/> is 0 for a plain member.</summary>
internal sealed record MemberModel(Name Name, int Offset, Pos OffsetPos, int Width, int Count, string Doc)
{
    public int Bytes => Width * Math.Max(Count, 1);
}

internal sealed record StructModel(Name Name, string Doc, int Size, EquatableArray<MemberModel> Members);

/// <summary>A name with a value: of an enum, of a flags type (then a bit number), or of a set of constants.</summary>
internal sealed record ValueModel(Name Name, ulong Value, Pos ValuePos, string Doc);

internal sealed record EnumModel(Name Name, string Doc, bool Flags, int Width, EquatableArray<ValueModel> Values);

internal sealed record ConstsModel(Name Name, string Doc, EquatableArray<ValueModel> Values);

internal sealed record QueueModel(Name Name, int Size, Pos SizePos, string Doc);

internal sealed record DeviceModel(
    Name Name, string Doc, uint Id, Name? Shares, EquatableArray<QueueModel> Queues, EquatableArray<ValueModel> Features);

/// <summary>An address range; in one of RAM nothing may be placed.</summary>
internal sealed record RangeModel(Name Name, ulong Start, ulong End, bool Ram, Pos StartPos, string Doc);

/// <summary>One placed block. <see cref="Count"/> is 0 for a single one; <see cref="FirstIrq"/> is -1 without an interrupt.</summary>
internal sealed record PlaceModel(
    Name Name, Name Block, bool Port, ulong Address, Pos AddressPos, int Count, ulong Stride, int FirstIrq, int LastIrq, Pos IrqPos, string Doc);

internal sealed record MachineModel(Name Name, string Doc, EquatableArray<RangeModel> Ranges, EquatableArray<PlaceModel> Places);

/// <summary>All that one definition file declares.</summary>
internal sealed record FileModel(
    string File,
    EquatableArray<BlockModel> Blocks,
    EquatableArray<StructModel> Structs,
    EquatableArray<EnumModel> Enums,
    EquatableArray<ConstsModel> Consts,
    EquatableArray<DeviceModel> Devices,
    EquatableArray<MachineModel> Machines);
