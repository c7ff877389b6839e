using MicroVm.Bus;

namespace Dispatch.Bench;

/// <summary>One guest access of a script.</summary>
internal readonly record struct Access(bool IsWrite, uint Offset, ulong Value)
{
    internal static Access Read(uint offset) => new(false, offset, 0);

    internal static Access Write(uint offset, ulong value) => new(true, offset, value);
}

/// <summary>Registers as somebody writes them who has no generator.</summary>
internal interface IHandWritten
{
    IoStatus Read(uint offset, int width, out ulong value);

    IoStatus Write(uint offset, int width, ulong value);
}

/// <summary>Plays a script; the sum keeps the reads alive.</summary>
internal static class Script
{
    internal static ulong Play(this Access[] script, IRegisterBlock block, int width)
    {
        ulong sum = 0;
        foreach (ref readonly Access a in script.AsSpan())
        {
            if (a.IsWrite) sum += (ulong)block.Write(a.Offset, width, a.Value);
            else sum += (ulong)block.Read(a.Offset, width, out ulong value) + value;
        }
        return sum;
    }

    internal static ulong Play(this Access[] script, IHandWritten block, int width)
    {
        ulong sum = 0;
        foreach (ref readonly Access a in script.AsSpan())
        {
            if (a.IsWrite) sum += (ulong)block.Write(a.Offset, width, a.Value);
            else sum += (ulong)block.Read(a.Offset, width, out ulong value) + value;
        }
        return sum;
    }
}
