using System.Buffers;
using System.Buffers.Binary;
using MicroVm.Bus;
using MicroVm.Snapshot;

namespace MicroVm.Conformance.Tests;

/// <summary>Accesses to registers by name, and to a block's state through its snapshot.</summary>
internal static class Probe
{
    /// <summary>Bytes of one access to a register.</summary>
    public static int Width(this RegisterInfo r) => r.HighHalf >= 0 ? 4 : (int)r.Width;

    public static bool Has(this RegisterInfo r, RegisterTraits trait) => (r.Traits & trait) != 0;

    public static bool IsPair(this RegisterInfo r) => r.Has(RegisterTraits.Indexed) && r.IndexedBy is null;

    /// <summary>Another register has the same place.</summary>
    public static bool Shared(this BlockInfo block, RegisterInfo r) => block.Registers.Any(o => o != r && o.IndexedBy == r.IndexedBy && o.Offset == r.Offset);

    /// <summary>All bits of the register's type.</summary>
    public static ulong Ones(this RegisterInfo r) => r.Width >= 8 ? ulong.MaxValue : (1ul << (8 * (int)r.Width)) - 1;

    public static IoStatus Read(this Subject s, RegisterInfo r, out ulong value, uint element = 0)
    {
        uint at = s.Reach(r, element);
        IoStatus status = s.Block.Read(at, r.Width(), out value);
        if (r.HighHalf < 0 || status != IoStatus.Ok) return status;
        status = s.Block.Read((uint)r.HighHalf, 4, out ulong high);
        value |= high << 32;
        return status;
    }

    public static IoStatus Write(this Subject s, RegisterInfo r, ulong value, uint element = 0)
    {
        uint at = s.Reach(r, element);
        if (r.HighHalf < 0) return s.Block.Write(at, r.Width(), value);
        IoStatus low = s.Block.Write(at, 4, (uint)value);
        IoStatus high = s.Block.Write((uint)r.HighHalf, 4, value >> 32);
        return low == IoStatus.Ok ? high : low;
    }

    /// <summary>The offset to use; of an indexed register that of the data register, after the index was selected.</summary>
    private static uint Reach(this Subject s, RegisterInfo r, uint element)
    {
        uint place = r.Offset + element * r.Stride;
        if (r.IndexedBy is null) return place;
        RegisterInfo selector = s.Register(s.Selector!);
        Assert.Equal(IoStatus.Ok, s.Block.Write(selector.Offset, selector.Width(), place));
        return s.Register(r.IndexedBy).Offset;
    }

    public static byte[] Save(this Subject s)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new SnapshotWriter(buffer);
        s.Block.Save(ref writer);
        return buffer.WrittenSpan.ToArray();
    }

    public static void Load(this Subject s, byte[] state)
    {
        var reader = new SnapshotReader(state);
        s.Block.Load(ref reader);
    }

    /// <summary>Puts a stored register at a value that the guest could not always write, and leaves the others as they are.</summary>
    public static void Force(this Subject s, RegisterInfo r, ulong value)
    {
        byte[] state = s.Save();
        for (int at = 0; at < state.Length;)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(state.AsSpan(at + 8));
            if (BinaryPrimitives.ReadUInt64LittleEndian(state.AsSpan(at)) == r.Offset)
            {
                for (int i = 0; i < length; i++) state[at + 12 + i] = (byte)(value >> (8 * i));
            }
            at += 12 + length;
        }
        s.Load(state);
    }

    /// <summary>Brings the fields that a guard asks for into the state that it wants, or one of them out of it.</summary>
    public static void Guard(this Subject s, RegisterInfo r, bool holds)
    {
        if (r.Guard is null) return;
        string[] terms = r.Guard.Split(" and ");
        foreach (string term in terms)
        {
            bool not = term.StartsWith("not ", StringComparison.Ordinal);
            string name = not ? term[4..] : term;
            (RegisterInfo owner, FieldInfo field) = s.Field(name);
            bool set = not != (holds || term != terms[0]);
            ulong bit = 1ul << field.Low;
            s.Force(owner, set ? s.Current(owner) | bit : s.Current(owner) & ~bit);
        }
    }

    private static (RegisterInfo Register, FieldInfo Field) Field(this Subject s, string name)
    {
        foreach (RegisterInfo r in s.Info.Registers)
        {
            foreach (FieldInfo f in r.Fields)
            {
                if (f.Name == name || r.Name + "." + f.Name == name) return (r, f);
            }
        }
        throw new InvalidOperationException("no field " + name);
    }

    private static ulong Current(this Subject s, RegisterInfo r)
    {
        Assert.Equal(IoStatus.Ok, s.Read(r, out ulong value));
        return value;
    }
}
